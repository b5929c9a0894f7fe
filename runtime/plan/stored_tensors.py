"""Tensors in a file with a record of each: those that share their memory are stored once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.plan.records import FileRecord, TensorRecord
from tilewright.runtime.storage.memory_place import memory_place
from tilewright.runtime.storage.weights_file import DTYPES, WeightsFile, dtype_name
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import FILE, file_sha256, kind_of


def check_file(folder: Path, record: FileRecord, owner: str) -> None:
    """Raise ``InputError`` unless a file is in the folder, with the size and the hash of its record.

    owner: what the file is part of, for the sentence.
    """
    if Path(record.file).name != record.file or record.file in ("", ".", ".."):
        raise InputError(f"{owner} {folder}: file name {record.file!r} does not stay inside it")
    path = folder / record.file
    kind = kind_of(path)  # first: a name may be longer than the system takes
    if path.is_symlink():
        raise InputError(f"{owner} {folder}: the file {record.file} is a link, which is not followed")
    if kind != FILE:
        what = "missing" if kind is None else f"a {kind}, not a regular file"
        raise InputError(f"{owner} {folder}: the file {record.file} is {what}")
    if path.stat().st_size != record.bytes:
        raise InputError(f"{path} has {path.stat().st_size} bytes where its record says {record.bytes}: it is damaged")
    if file_sha256(path) != record.sha256:
        raise InputError(f"{path} does not have the SHA-256 that its record names: one of the two was changed")


def read_tensors(path: Path, records: Mapping[str, TensorRecord]) -> dict[str, Tensor]:
    """Tensors by name, in their file until they are used. Raises ``InputError`` where file and records disagree."""
    file = WeightsFile(path)
    read: dict[str, Tensor] = {}
    tensors = {}
    for name, record in records.items():
        if record.stored_as not in file.names:
            raise InputError(f"{path} holds no tensor {record.stored_as!r}, needed for {name!r}")
        if file.shape(record.stored_as) != record.shape:
            raise InputError(
                f"tensor {record.stored_as!r} has shape {file.shape(record.stored_as)}, its record says {record.shape}"
            )
        if record.stored_as not in read:
            read[record.stored_as] = file.read(record.stored_as)
        tensors[name] = read[record.stored_as]
        if dtype_name(tensors[name].dtype) != record.dtype:
            raise InputError(f"tensor {name!r} is {tensors[name].dtype}, its record says {record.dtype}")
    return tensors


def without_numbers(records: Mapping[str, TensorRecord]) -> dict[str, Tensor]:
    """Tensors of these types and shapes on the meta device, which takes no memory."""
    known = {dtype_name(dtype): dtype for dtype in DTYPES}
    tensors = {}
    for name, record in records.items():
        if record.dtype not in known:
            raise InputError(f"tensor {name!r} is {record.dtype}; {nearest(record.dtype, known)}")
        tensors[name] = torch.empty(record.shape, dtype=known[record.dtype], device="meta")
    return tensors


def stored_once(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, TensorRecord]]:
    """Tensors to write and the records of all: those that share their memory (tied weights) are written once."""
    stored: dict[str, Tensor] = {}
    seen: dict[tuple[Any, ...], str] = {}
    records = {}
    for name, tensor in tensors.items():
        identity = (memory_place(tensor), tensor.dtype, tuple(tensor.shape), tensor.stride())
        key = seen.setdefault(identity, name) if tensor.numel() else name
        if key == name:
            stored[name] = tensor
        records[name] = TensorRecord(stored_as=key, dtype=dtype_name(tensor.dtype), shape=list(tensor.shape))
    return stored, records
