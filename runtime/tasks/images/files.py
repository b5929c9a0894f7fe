"""Files of labelled images by what they are: folders of classes, .npz, IDX, CIFAR."""

from __future__ import annotations

from pathlib import Path

from tilewright.runtime.tasks.images.arrays import read_image_arrays
from tilewright.runtime.tasks.images.cifar_files import PICKLED, is_cifar, read_cifar, refuse_pickle
from tilewright.runtime.tasks.images.folder import read_image_folder
from tilewright.runtime.tasks.images.idx_files import idx_images, read_idx_images
from tilewright.runtime.tasks.images.labelled import LARGEST_ARRAYS, LabelledImages
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, check_file, kind_of, shown_path


def read_images(path: Path, channels: int | None) -> LabelledImages:
    """Labelled images of a file or folder.

    channels: that the network takes, where it is known; PNG and JPEG files are read as grey or in colour by it. Raises
    ``InputError`` for files of another kind, damaged ones, and ones with no images.
    """
    found = _of_folder(path, channels) if kind_of(path) == FOLDER else _of_file(path, channels)
    if not found.labels:
        raise InputError(f"{shown_path(path)} has no images")
    return found


def _of_folder(path: Path, channels: int | None) -> LabelledImages:
    if idx_images(path):
        return read_idx_images(path)
    return read_cifar(path) if is_cifar(path) else read_image_folder(path, channels)


def _of_file(path: Path, channels: int | None) -> LabelledImages:
    check_file(path, "file or folder of images", LARGEST_ARRAYS)
    if path.suffix.lower() == ".npz":
        return read_image_arrays(path, channels)
    if "idx" in path.name:
        return read_idx_images(path)
    if path.suffix.lower() == ".bin":
        return read_cifar(path)
    if PICKLED.fullmatch(path.name):
        refuse_pickle(path)
    raise InputError(
        f"{shown_path(path)} is of no kind that is read; allowed: a folder of folders of PNG or JPEG files, .npz, IDX "
        "(...-images-idx3-ubyte, also .gz), and CIFAR's .bin"
    )
