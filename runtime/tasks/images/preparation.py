"""Preparation of images for a network: resized, cropped, scaled, normalised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tilewright.runtime.tasks.images.labelled import Pixels, import_pillow
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import shown

LARGEST_SIDE = 2**13  # pixels
FILTERS = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Names of filters by Pillow's numbers."""
Sides = tuple[int, int]
"""Height and width, in pixels."""


@dataclass(frozen=True)
class Preparation:
    """Steps from an image's pixels to a network's input, in this order.

    size: height and width to resize to, or the length of the shorter side; None leaves the size. resample: name of the
    filter. crop: height and width of the middle that is kept, with zeros around a smaller image. scale: factor on whole
    numbers; fractions stay. mean, std: subtracted, then divided by: one for all channels, or one each.
    """

    size: Sides | int | None = None
    crop: Sides | None = None
    resample: str = "bilinear"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __call__(self, pixels: Pixels, what: str) -> Pixels:
        """Input [channels, height, width] of an image [height, width, channels]. what: the image, for sentences.

        Raises ``InputError`` where mean or std are of another number of channels, or a number is not finite.
        """
        channels = pixels.shape[2]
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, channels):
                raise InputError(f"{what} has {channels} channel(s), and {name} has {len(values)} numbers")
        if self.size is not None:
            pixels = self._resized(pixels, self.size, what)
        if self.crop is not None:
            pixels = _middle(_middle(pixels, 0, self.crop[0]), 1, self.crop[1])
        with np.errstate(all="ignore"):  # what is too large is looked for below
            if pixels.dtype.kind != "f":
                pixels = pixels.astype(np.float64) * self.scale
            # in 32 bits, as transformers and torchvision compute
            mean, std = (np.array(values, np.float32) for values in (self.mean, self.std))
            normalised: Pixels = (pixels.astype(np.float32) - mean) / std
        if not np.isfinite(normalised).all():
            raise InputError(f"{what} has, prepared, numbers that are not finite in 32 bits")
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))

    def _resized(self, pixels: Pixels, size: Sides | int, what: str) -> Pixels:
        if isinstance(size, int):
            shorter = min(pixels.shape[:2])
            height, width = (size if side == shorter else int(size * side / shorter) for side in pixels.shape[:2])
        else:
            height, width = size
        if max(height, width) > LARGEST_SIDE:
            raise InputError(
                f"{what} would be resized to {height} x {width} pixels; allowed are {LARGEST_SIDE:,} a side"
            )
        if pixels.shape[:2] == (height, width):
            return pixels
        pillow, number = import_pillow(), FILTERS.index(self.resample)
        plain = pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32)
        planes = [pillow.fromarray(np.ascontiguousarray(plain[..., channel])) for channel in range(plain.shape[2])]
        return np.stack([np.asarray(plane.resize((width, height), number)) for plane in planes], axis=2)


def _middle(pixels: Pixels, axis: int, wanted: int) -> Pixels:
    """The middle of an axis, with zeros around it where it is too short."""
    spare = pixels.shape[axis] - wanted
    if spare < 0:
        before = (1 - spare) // 2
        around = [(0, 0)] * pixels.ndim
        around[axis] = (before, -spare - before)
        return np.pad(pixels, around)
    return pixels.take(range(spare // 2, spare // 2 + wanted), axis=axis)


def preparation(
    size: Any = None, crop: Any = None, resample: Any = None, scale: Any = None, mean: Any = None, std: Any = None
) -> Preparation | None:
    """The preparation of a user's options; None if there are none. Raises ``InputError`` for a value that is none."""
    if all(option is None for option in (size, crop, resample, scale, mean, std)):
        return None
    if resample is not None and resample not in FILTERS:
        raise InputError(f"resample is {shown(resample)}; {nearest(str(resample), FILTERS)}")
    sides = None if size is None else size if _is_side(size) else _sides("size", size)
    cropped = None if crop is None else (crop, crop) if _is_side(crop) else _sides("crop", crop)
    deviations = _numbers("std", std, 1.0)
    if min(deviations) <= 0:
        raise InputError(f"std is {shown(std)}; deviations are more than 0")
    means, (factor, *more) = _numbers("mean", mean, 0.0), _numbers("scale", scale, 1 / 255)
    if more:
        raise InputError(f"scale is {shown(scale)}; it must be one number")
    return Preparation(sides, cropped, resample or "bilinear", factor, means, deviations)


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_SIDE


def _sides(name: str, value: Any) -> Sides:
    if isinstance(value, Sequence) and len(value) == 2 and all(map(_is_side, value)):
        return value[0], value[1]
    one = "the shorter side's length" if name == "size" else "one for both"
    raise InputError(
        f"{name} is {shown(value)}; it must be {one}, or [height, width]: 1 to {LARGEST_SIDE:,} pixels each"
    )


def _numbers(name: str, value: Any, default: float) -> tuple[float, ...]:
    values = [default] if value is None else value if isinstance(value, Sequence) and value else [value]
    if any(isinstance(one, bool) or not isinstance(one, int | float) or not math.isfinite(one) for one in values):
        raise InputError(f"{name} is {shown(value)}; it must be a number, or a list of one for each channel")
    return tuple(map(float, values))
