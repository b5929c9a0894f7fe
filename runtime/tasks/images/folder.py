"""Images in a folder of folders, one a class, as torchvision's ImageFolder has them."""

from __future__ import annotations

from pathlib import Path

from tilewright.runtime.tasks.images.labelled import LabelledImages, Pixels, decoded
from tilewright.targets.errors import InputError
from tilewright.targets.paths import read_bytes, shown_path

LARGEST_IMAGE = 2**28  # bytes of a file
READ = frozenset({".png", ".jpg", ".jpeg"})
NOT_READ = frozenset({".bmp", ".gif", ".pgm", ".ppm", ".tif", ".tiff", ".webp"})
"""Endings of images that are refused, since leaving them out would be another measurement."""


def read_image_folder(folder: Path, channels: int | None) -> LabelledImages:
    """PNG and JPEG files below each class's folder. Classes are the folders' names, in sorted order.

    channels: see ``decoded``. Raises ``InputError`` if there are no folders, or one without images.
    """
    classes = sorted(inner.name for inner in folder.iterdir() if inner.is_dir() and not inner.name.startswith("."))
    if not classes:
        raise InputError(f"{shown_path(folder)} has no folders; images lie in a folder of folders, one a class")
    paths: list[Path] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        files = _images(folder / name)
        paths += files
        labels += [number] * len(files)

    def pixels(number: int) -> Pixels:
        return decoded(read_bytes(paths[number], "image", LARGEST_IMAGE), name_of(number), channels)

    def name_of(number: int) -> str:
        return f"image {shown_path(paths[number])}"

    return LabelledImages(pixels, labels, classes, name_of)


def _images(folder: Path) -> list[Path]:
    files = sorted(folder.rglob("*"))
    other = next((file for file in files if file.suffix.lower() in NOT_READ), None)
    if other is not None:
        raise InputError(f"image {shown_path(other)} is of no kind that is read; allowed: PNG and JPEG")
    found = [file for file in files if file.suffix.lower() in READ and not file.name.startswith(".")]
    if not found:
        raise InputError(f"folder {shown_path(folder)} of a class has no PNG or JPEG files")
    return found
