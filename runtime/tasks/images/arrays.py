"""Images and labels in an .npz file: as numbers, or as JPEG files one after another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.runtime.storage.arrays import read_arrays
from tilewright.runtime.tasks.images.labelled import LARGEST_ARRAYS, LabelledImages, Pixels, decoded
from tilewright.targets.errors import InputError
from tilewright.targets.paths import shown_path

Arrays = Mapping[str, np.ndarray[Any, Any]]
PAIRS = (("images", "labels"), ("x_test", "y_test"), ("test_images", "test_labels"), ("x", "y"))
"""Names of images and of their labels, in the order in which they are looked for."""
SOME = 16
"""Number of images that tell whether fractions are fractions."""
CHANNELS = (1, 3, 4)
"""Sizes of an axis that counts channels."""


def read_image_arrays(path: Path, channels: int | None) -> LabelledImages:
    """Images of an .npz file under one of the names of ``PAIRS``, or JPEG files as ``jpeg`` with ``offsets``.

    Labels are numbers or names; ``classes`` names the numbers, where it is there. channels: see ``decoded``, of JPEG
    files. Raises ``InputError`` for a file without them, of other types or shapes, or too large.
    """
    arrays = read_arrays(path, "file of images", LARGEST_ARRAYS)
    where = shown_path(path)
    if "jpeg" in arrays and "offsets" in arrays:
        return _jpeg(arrays, where, channels)
    for images, labels in PAIRS:
        if images in arrays and labels in arrays:
            return _numbers(arrays[images], _labels(arrays, labels, where), _classes(arrays), f"{images!r} of {where}")
    pairs = ", ".join(f"{images} and {labels}" for images, labels in PAIRS)
    raise InputError(f"{where} holds {', '.join(arrays)[:200]}; images are {pairs}, or jpeg, offsets and labels")


def _numbers(images: Pixels, labels: list[Any], classes: list[str] | None, what: str) -> LabelledImages:
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InputError(f"{what} is {images.dtype}; allowed are uint8 and floating point")
    some = images[:SOME]
    if images.dtype.kind == "f" and some.size and some.max() > 1 and (some == np.rint(some)).all():
        raise InputError(f"{what} is {images.dtype} and holds whole numbers up to {some.max():g}; store them as uint8")
    if images.ndim == 3:
        images = images[..., None]
    elif images.ndim == 4 and images.shape[3] not in CHANNELS and images.shape[1] in CHANNELS:
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] not in CHANNELS or 0 in images.shape[1:]:
        raise InputError(
            f"{what} has shape {list(images.shape)}; allowed are [images, height, width], and that with 1, 3 or 4 "
            "channels before or behind height and width"
        )
    if len(images) != len(labels):
        raise InputError(f"{what} has {len(images)} images and {len(labels)} labels")
    return LabelledImages(images.__getitem__, labels, classes)


def _jpeg(arrays: Arrays, where: str, channels: int | None) -> LabelledImages:
    stored, offsets, labels = arrays["jpeg"], arrays["offsets"], _labels(arrays, "labels", where)
    if stored.dtype != np.uint8 or stored.ndim != 1:
        raise InputError(f"'jpeg' of {where} is {stored.dtype} {list(stored.shape)}; it must be bytes: uint8 [bytes]")
    if offsets.dtype.kind not in "iu" or offsets.shape != (len(labels) + 1,):
        raise InputError(
            f"'offsets' of {where} is {offsets.dtype} {list(offsets.shape)}; it must be whole numbers, one more than "
            f"the {len(labels)} labels"
        )
    ends = [int(offset) for offset in offsets]
    if ends[0] < 0 or ends != sorted(ends) or ends[-1] > len(stored):
        raise InputError(f"'offsets' of {where} must grow from 0 or more to at most {len(stored)}, the bytes of 'jpeg'")

    def pixels(number: int) -> Pixels:
        content = stored[ends[number] : ends[number + 1]].tobytes()
        return decoded(content, f"image {number} of {where}", channels)

    return LabelledImages(pixels, labels, _classes(arrays))


def _labels(arrays: Arrays, name: str, where: str) -> list[Any]:
    if name not in arrays:
        raise InputError(f"{where} holds no {name!r}")
    labels = arrays[name]
    flat = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if flat.ndim != 1 or flat.dtype.kind not in "iuUS":
        raise InputError(
            f"{name!r} of {where} is {labels.dtype} {list(labels.shape)}; it must be whole numbers or names, one an "
            "image"
        )
    return _words(flat)


def _classes(arrays: Arrays) -> list[str] | None:
    classes = arrays.get("classes")
    return _words(classes) if classes is not None and classes.ndim == 1 and classes.dtype.kind in "US" else None


def _words(values: np.ndarray[Any, Any]) -> list[Any]:
    """Plain values; bytes as text."""
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values.tolist()]
