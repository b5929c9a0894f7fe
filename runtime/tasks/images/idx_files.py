"""Images and labels in IDX files, as MNIST and Fashion-MNIST have them, as they are or packed by gzip."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from tilewright.runtime.storage.memory_budget import check_memory
from tilewright.runtime.tasks.images.labelled import LARGEST_ARRAYS, LabelledImages, Pixels
from tilewright.targets.errors import InputError
from tilewright.targets.paths import check_file, kind_of, shown_path

UNSIGNED_BYTES = 0x08
"""Type of numbers in a file, as its third byte says."""
PACKED = b"\x1f\x8b"
TESTS = ("t10k", "test")
"""Words in the names of files of test images."""


def idx_images(folder: Path) -> list[Path]:
    """Files of images in a folder, by their names."""
    return sorted(path for path in folder.glob("*images*idx3*") if path.is_file())


def read_idx_images(path: Path) -> LabelledImages:
    """Images of an IDX file, or the test images of a folder, with the labels in the file beside it.

    Raises ``InputError`` if either is missing, damaged or too large, or a folder has several and none is of tests.
    """
    images_file = path
    if path.is_dir():
        found = idx_images(path)
        tests = [file for file in found if any(word in file.name for word in TESTS)] or found
        if len({file.name.removesuffix(".gz") for file in tests}) > 1:
            names = ", ".join(file.name for file in tests)
            raise InputError(f"{shown_path(path)} has several files of images; give one of them: {names}")
        images_file = tests[0]
    images, labels = read_idx(images_file, 3), read_idx(_labels_beside(images_file), 1)
    if len(images) != len(labels):
        raise InputError(f"{shown_path(images_file)} has {len(images)} images and {len(labels)} labels")
    if 0 in images.shape:
        raise InputError(f"{shown_path(images_file)} has shape {list(images.shape)}, and so no images")
    return LabelledImages(images[..., None].__getitem__, labels.tolist())


def _labels_beside(images: Path) -> Path:
    name = images.name.replace("images", "labels").replace("idx3", "idx1").removesuffix(".gz")
    if name == images.name.removesuffix(".gz"):
        raise InputError(f"the labels of {shown_path(images)} cannot be found: its name has no 'images' to replace")
    paths = [images.with_name(name), images.with_name(f"{name}.gz")]
    return next((path for path in paths if kind_of(path) is not None), paths[0])


def read_idx(path: Path, dimensions: int) -> Pixels:
    """Bytes of an IDX file, an array of so many dimensions. Raises ``InputError`` if it holds anything else."""
    check_file(path, "IDX file", LARGEST_ARRAYS)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == PACKED
            file.seek(0)
            if not packed:
                return _read(file, path, dimensions)
            with gzip.open(file) as unpacked:
                return _read(unpacked, path, dimensions)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise InputError(f"IDX file {shown_path(path)} cannot be read: {str(error) or 'it is cut'}") from error


def _read(file: IO[bytes] | gzip.GzipFile, path: Path, dimensions: int) -> Pixels:
    wanted = bytes([0, 0, UNSIGNED_BYTES, dimensions])
    magic = file.read(4)
    if magic != wanted:
        raise InputError(
            f"{shown_path(path)} begins with {magic.hex() or 'nothing'}, and an IDX file of bytes in {dimensions} "
            f"dimension(s) with {wanted.hex()}"
        )
    shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
    size = math.prod(shape)
    if size > LARGEST_ARRAYS:
        raise InputError(f"{shown_path(path)} holds {size:,} bytes by its header, allowed are {LARGEST_ARRAYS:,}")
    check_memory(size, f"{shown_path(path)}, which holds {size:,} bytes by its header,")
    content = file.read(size)
    if len(content) < size or file.read(1):
        held = f"{len(content):,}" if len(content) < size else "more"
        raise InputError(f"{shown_path(path)} holds {size:,} bytes by its header {list(shape)}, and {held} in truth")
    return np.frombuffer(content, np.uint8).reshape(shape)
