"""Resize of ONNX: torch's interpolation where it is the same, else a reading at computed places."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.frontends.onnx.call import Call, positive
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.operators.shapes import LARGEST_LIST
from tilewright.compiler.frontends.onnx.values import Value

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
HALF_PIXEL = ("half_pixel", "pytorch_half_pixel")


@operator("Resize", "Upsample")
def resize(call: Call) -> Value:
    """Interpolation, nearest (all modes of rounding along fixed sizes), linear and cubic; no region, no antialias."""
    x = call.tensor(0)
    if call.attribute("antialias", 0) or call.attribute("exclude_outside", 0):
        raise call.refuse("antialias and exclude_outside are not supported")
    if call.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise call.refuse("keep_aspect_ratio_policy is not supported")
    axes = call.attribute("axes")
    axes = list(range(x.dim())) if axes is None else [positive(axis, x.dim(), call) for axis in axes]
    scales, sizes = _scales_and_sizes(call, x, axes)
    changed = [axis for axis in axes if not _same(sizes[axis], x.shape[axis])]
    if not changed:
        return x
    mode = call.attribute("mode", "nearest")
    coordinates = call.attribute(
        "coordinate_transformation_mode", "half_pixel" if call.node.opset > 10 else "asymmetric"
    )
    if mode == "nearest":
        return _nearest(call, x, changed, scales, sizes, coordinates)
    if x.dim() < 3 or changed[0] < 2:
        raise call.refuse(f"{mode} resizing of dimensions {changed}; samples and channels must keep their size")
    return _smooth(call, x, mode, coordinates, scales, sizes)


def _smooth(call: Call, x: Tensor, mode: str, coordinates: str, scales: list[Any], sizes: list[Any]) -> Value:
    """Linear or cubic interpolation of all dimensions behind samples and channels."""
    spatial = list(sizes[2:])
    corners = coordinates == "align_corners"
    if coordinates not in (*HALF_PIXEL, "align_corners"):
        raise call.refuse(
            f"{mode} resizing with coordinates {coordinates!r}; half_pixel and align_corners are supported"
        )
    if coordinates == "pytorch_half_pixel" and any(isinstance(size, int) and size == 1 for size in spatial):
        raise call.refuse(f"{mode} resizing to a size of 1 with coordinates 'pytorch_half_pixel' is not supported")
    if corners and not all(map(_is_whole, spatial, x.shape[2:], scales[2:])):
        raise call.refuse(
            f"{mode} resizing with align_corners by factors that do not give whole sizes is not supported"
        )
    factors = None if corners else [float(scale) if isinstance(scale, float | int) else scale for scale in scales[2:]]
    if mode == "linear" and x.dim() - 2 in LINEAR:
        return _interpolate(x, spatial, LINEAR[x.dim() - 2], corners, factors)
    if mode == "cubic" and x.dim() == 4 and abs(call.attribute("cubic_coeff_a", -0.75) + 0.75) < 1e-6:
        return _interpolate(x, spatial, "bicubic", corners, factors)
    raise call.refuse(f"{mode} resizing of {x.dim() - 2} dimensions is not supported")


def _is_whole(size: Any, length: Any, scale: Any) -> bool:
    """True if a factor gives its size without rounding."""
    if not isinstance(size, int) or not isinstance(length, int):
        return not isinstance(scale, float) or scale == int(scale)
    return bool(abs(length * scale - size) < 1e-6)


def _same(left: Any, right: Any) -> bool:
    return left is right or bool(left == right)


def _scales_and_sizes(call: Call, x: Tensor, axes: list[int]) -> tuple[list[Any], list[Any]]:
    """Factor and new size of every dimension."""
    places = (1, 2, 3) if call.node.operator == "Resize" and call.node.opset > 10 else (-1, 1, -1)
    has_sizes = places[2] > 0 and call.has(places[2]) and call.known[places[2]] is not None
    scales: list[Any] = [1.0] * x.dim()
    sizes: list[Any] = list(x.shape)
    if has_sizes and call.numbers(places[2], "sizes").size:
        for axis, size in zip(axes, call.known_list(places[2], "sizes"), strict=True):
            scales[axis], sizes[axis] = size / x.shape[axis], size
        return scales, sizes
    given = call.attribute("scales") or call.known_list(places[1], "scales or sizes")
    for axis, scale in zip(axes, given, strict=True):
        if isinstance(scale, float) and scale == int(scale):
            sizes[axis] = x.shape[axis] * int(scale)
        else:
            sizes[axis] = math.floor(x.shape[axis] * scale)
        scales[axis] = scale
    return scales, sizes


def _interpolate(x: Tensor, sizes: list[Any], mode: str, corners: bool, factors: list[Any] | None) -> Tensor:
    plain = factors is not None and all(isinstance(factor, float) for factor in factors)
    if plain and all(
        isinstance(size, torch.SymInt) or math.floor(length * factor) == size
        for size, length, factor in zip(sizes, x.shape[2:], factors or [], strict=True)
    ):  # coordinates from the factors themselves, as ONNX wants, not from the rounded sizes
        return functional.interpolate(
            x, scale_factor=factors, mode=mode, align_corners=corners, recompute_scale_factor=False
        )
    return functional.interpolate(x, size=sizes, mode=mode, align_corners=corners)


def _nearest(
    call: Call, x: Tensor, changed: list[int], scales: list[Any], sizes: list[Any], coordinates: str
) -> Tensor:
    rounding = call.attribute("nearest_mode", "round_prefer_floor" if call.node.opset > 10 else "floor")
    repeats = rounding == "floor" if coordinates == "asymmetric" else rounding.startswith("round")
    for axis in changed:
        scale = scales[axis]
        if repeats and coordinates in (*HALF_PIXEL, "asymmetric") and isinstance(scale, float) and scale == int(scale):
            x = x.repeat_interleave(int(scale), axis)  # a whole factor repeats every value
            continue
        if not isinstance(x.shape[axis], int) or not isinstance(sizes[axis], int):
            raise call.refuse("nearest resizing by a fraction along a size that may vary is not supported")
        if sizes[axis] > LARGEST_LIST:
            raise call.refuse(f"nearest resizing to {sizes[axis]} elements; allowed are {LARGEST_LIST}")
        x = x.index_select(axis, torch.tensor(_places(call, x.shape[axis], sizes[axis], scale, coordinates, rounding)))
    return x


def _places(call: Call, length: int, new_length: int, scale: float, coordinates: str, rounding: str) -> list[int]:
    """Places that output values are read from, one a value."""
    round_ = {
        "round_prefer_floor": lambda place: math.ceil(place - 0.5),
        "round_prefer_ceil": lambda place: math.floor(place + 0.5),
        "floor": math.floor,
        "ceil": math.ceil,
    }[rounding]
    found = []
    for place in range(new_length):
        if coordinates == "align_corners":
            source = place * (length - 1) / (new_length - 1) if new_length > 1 else 0.0
        elif coordinates == "asymmetric":
            source = place / scale
        elif coordinates in HALF_PIXEL:
            source = (place + 0.5) / scale - 0.5 if new_length > 1 or coordinates == "half_pixel" else 0.0
        else:
            raise call.refuse(f"nearest resizing with coordinates {coordinates!r} is not supported")
        found.append(min(max(int(round_(source)), 0), length - 1))
    return found
