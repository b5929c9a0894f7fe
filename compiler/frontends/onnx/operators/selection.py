"""ONNX operators that read and write at given places."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.compiler.frontends.onnx.call import Call, along_axis, positive
from tilewright.compiler.frontends.onnx.operators.registry import operator
from tilewright.compiler.frontends.onnx.values import Value


@operator("Gather")
def gather(call: Call) -> Value:
    """Parts of a constant table (a look-up) or an activation, along any axis."""
    x = call.tensor(0)
    axis = positive(call.attribute("axis", 0), x.dim(), call)
    known = call.known[1]
    if known is not None and known.size == 1 and known.ndim < 2:
        part = torch.select(x, axis, known.reshape(-1)[0])
        return part.unsqueeze(axis) if known.ndim == 1 else part
    places = call.tensor(1).to(torch.int64)
    if axis == 0 and x.dim() == 2 and x.is_floating_point() and known is None:
        return functional.embedding(places, x)
    return x[(slice(None),) * axis + (places,)]


@operator("GatherElements")
def gather_elements(call: Call) -> Value:
    """Values at given places, which may count from the end."""
    x, places = call.tensor(0), call.tensor(1).to(torch.int64)
    axis = positive(call.attribute("axis", 0), x.dim(), call)
    return torch.gather(x, axis, torch.remainder(places, x.shape[axis]))


@operator("GatherND")
def gather_nd(call: Call) -> Value:
    """Parts at given coordinates, with at most one batch dimension."""
    x, places = call.tensor(0), call.tensor(1).to(torch.int64)
    batch = call.attribute("batch_dims", 0)
    indices = _coordinates(call, x, places)
    if batch > 1:
        raise call.refuse(f"batch_dims is {batch}; 0 and 1 are supported")
    if batch == 1:
        first = torch.arange(x.shape[0]).reshape([-1] + [1] * (indices[0].dim() - 1))
        indices = [first, *indices]
    return x[tuple(indices)]


@operator("ScatterElements")
def scatter_elements(call: Call) -> Value:
    """Writing at given places: replacing, adding, multiplying, smallest and largest."""
    x, places, updates = call.tensor(0), call.tensor(1).to(torch.int64), call.tensor(2)
    axis = positive(call.attribute("axis", 0), x.dim(), call)
    places = torch.remainder(places, x.shape[axis])
    kinds = {"add": "sum", "mul": "prod", "min": "amin", "max": "amax"}
    kind = call.attribute("reduction", "none")
    if kind == "none":
        return torch.scatter(x, axis, places, updates)
    if kind not in kinds:
        raise call.refuse(f"reduction {kind!r} is not one of none, {', '.join(kinds)}")
    return torch.scatter_reduce(x, axis, places, updates, kinds[kind])


@operator("ScatterND")
def scatter_nd(call: Call) -> Value:
    """Writing at given coordinates: replacing and adding."""
    x, places, updates = call.tensor(0), call.tensor(1).to(torch.int64), call.tensor(2)
    kind = call.attribute("reduction", "none")
    if kind not in ("none", "add"):
        raise call.refuse(f"reduction {kind!r} is not supported; none and add are")
    return torch.index_put(x, tuple(_coordinates(call, x, places)), updates, accumulate=kind == "add")


def _coordinates(call: Call, x: Tensor, places: Tensor) -> list[Tensor]:
    """Coordinates one by one: the last dimension of places, taken apart."""
    count = places.shape[-1] if places.dim() else 0
    if not isinstance(count, int) or not 1 <= count <= x.dim():
        raise call.refuse(f"places have {count} coordinates for {x.dim()} dimensions")
    return list(places.unbind(-1))


@operator("OneHot")
def one_hot(call: Call) -> Value:
    """One-hot code; depth constant or from sizes."""
    places = call.tensor(0).to(torch.int64)
    (depth,) = call.known_list(1, "depth")
    both = call.tensor(2)
    if list(both.shape) != [2]:
        raise call.refuse(f"values have shape {list(both.shape)}; there must be two: off and on")
    off, on = both.unbind(0)
    axis = positive(call.attribute("axis", -1), places.dim() + 1, call)
    hot = torch.where(places < 0, places + depth, places).unsqueeze(axis)
    steps = torch.arange(depth).reshape([-1] + [1] * (places.dim() - axis))
    return torch.where(hot == steps, on, off)


@operator("GridSample")
def grid_sample(call: Call) -> Value:
    """Sampling of images and volumes: linear, nearest and (images alone) cubic."""
    x, grid = call.tensors()
    mode = call.attribute("mode", "linear")
    torchs = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    if torchs not in ("bilinear", "nearest", "bicubic") or (torchs == "bicubic" and x.dim() != 4):
        raise call.refuse(f"mode {mode!r} for {x.dim()} dimensions is not supported")
    padding, corners = call.attribute("padding_mode", "zeros"), bool(call.attribute("align_corners", 0))
    return functional.grid_sample(x, grid, torchs, padding, corners)


@operator("Hardmax")
def hardmax(call: Call) -> Value:
    """One where the largest value is first seen; before opset 13 over all dimensions from the axis."""

    def largest(x: Tensor, axis: int) -> Tensor:
        steps = torch.arange(x.shape[axis]).reshape([-1] + [1] * (x.dim() - 1 - axis))
        return (torch.argmax(x, axis, keepdim=True) == steps).to(x.dtype)

    return along_axis(call, largest)
