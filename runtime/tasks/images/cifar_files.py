"""CIFAR-10 and CIFAR-100 in their binary version: a record of labels and 32 x 32 x 3 bytes an image."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tilewright.runtime.tasks.images.labelled import LARGEST_ARRAYS, LabelledImages, Pixels
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FILE, kind_of, read_bytes, read_text, shown_path

SIDE = 32
IMAGE = 3 * SIDE * SIDE  # bytes: all red ones, all green ones, all blue ones
TESTS = ("test_batch.bin", "test.bin")
"""Names of the files of test images, of CIFAR-10 and of CIFAR-100."""
NAMES = {10: "batches.meta.txt", 100: "fine_label_names.txt"}
"""Names of the files of class names, by the number of classes."""
PICKLED = re.compile(r"data_batch_\d+|test_batch|batches\.meta|.*\.pkl|.*\.pickle", re.IGNORECASE)
"""Names of files of the Python version."""
LARGEST_NAMES = 2**20  # bytes


def is_cifar(folder: Path) -> bool:
    """True for a folder of CIFAR's test images. Raises ``InputError`` for one of its Python version."""
    if any(kind_of(folder / name) == FILE for name in TESTS):
        return True
    for name in ("test_batch", "meta"):
        if kind_of(folder / name) == FILE:
            refuse_pickle(folder / name)
    return False


def refuse_pickle(path: Path) -> None:
    """Raise ``InputError`` for a file of CIFAR's Python version."""
    raise InputError(
        f"{shown_path(path)} is a pickle, which may run code and is not read: take CIFAR's binary version "
        "(cifar-10-binary.tar.gz, cifar-100-binary.tar.gz)"
    )


def read_cifar(path: Path) -> LabelledImages:
    """Images of a file of the binary version, or the test images of a folder; of CIFAR-100 with the fine labels.

    Raises ``InputError`` for a file that is no whole number of records, or has labels that there are not.
    """
    if path.is_dir():
        path = next(path / name for name in TESTS if kind_of(path / name) == FILE)
    content = np.frombuffer(read_bytes(path, "file of CIFAR", LARGEST_ARRAYS), np.uint8)
    # CIFAR-100's records begin with a coarse label; each published file is a multiple of one of the lengths alone
    before, classes = next(((n, c) for n, c in ((1, 10), (2, 100)) if len(content) % (IMAGE + n) == 0), (0, 0))
    if not before or not len(content):
        raise InputError(
            f"{shown_path(path)} is {len(content):,} bytes; CIFAR-10 has {IMAGE + 1:,} an image and CIFAR-100 "
            f"{IMAGE + 2:,}"
        )
    records = content.reshape(-1, IMAGE + before)
    labels = records[:, before - 1].tolist()
    if max(labels) >= classes:
        raise InputError(f"{shown_path(path)} has label {max(labels)}, and CIFAR-{classes} has {classes} classes")
    images: Pixels = records[:, before:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return LabelledImages(images.__getitem__, labels, _names(path.with_name(NAMES[classes]), classes))


def _names(path: Path, classes: int) -> list[str] | None:
    if kind_of(path) is None:
        return None
    names = [
        line.strip() for line in read_text(path, "file of class names", LARGEST_NAMES).splitlines() if line.strip()
    ]
    if len(names) != classes:
        raise InputError(f"{shown_path(path)} has {len(names)} names of classes, and CIFAR-{classes} has {classes}")
    return names
