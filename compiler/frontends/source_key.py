"""Key of a model's source: a hash of all that the traced network follows from, found without tracing.

A module in memory has none: what its code computes cannot be told from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import tilewright.compiler
import tilewright.runtime
from tilewright.compiler.frontends.sentence_modules import MODULES
from tilewright.runtime.storage.cache_folder import cache_folder
from tilewright.runtime.storage.weights_file import dtype_name, tensor_bytes
from tilewright.targets.paths import file_sha256

PACKAGES = ("tilewright", "torch", "transformers", "tokenizers", "safetensors", "onnx", "numpy", "sympy")
"""Packages that have a say in what a network is traced to."""


class NoKeyError(Exception):
    """Source, or samples, of which it cannot be told whether they are the same another time."""


def source_key(model: object, config_only: bool, **given: Any) -> str | None:
    """SHA-256, in hexadecimal, of a model's files, of samples and options, and of tilewright's own code and packages.

    model: as ``compile`` takes it. given: example inputs, calibration samples, names. None if there is no such hash,
    and where nothing is kept.
    """
    if cache_folder() is None:
        return None
    try:
        return _digest([*_of_model(model), config_only, *_of_value(given), *_of_software()])
    except (NoKeyError, OSError):
        return None


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _of_model(model: object) -> list[Any]:
    if not isinstance(model, str | Path):
        raise NoKeyError
    path = Path(model)
    if path.suffix.lower() == ".onnx" and path.is_file():
        return ["onnx", path.stem, *_of_files(path.parent, [path, *_external_data(path)])]
    if path.is_dir():
        return ["folder", path.resolve().name, *_of_files(path, _read_files(path))]
    if path.is_file():
        return ["config", path.stem, path.resolve().parent.name, file_sha256(path)]
    return ["hub", str(model), _commit(str(model))]


def _read_files(folder: Path) -> list[Path]:
    """Files that a frontend may read: those of the folder itself, and of the folders that its list of modules names."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if (folder / MODULES).is_file():
        files += [path for inner in folder.iterdir() if inner.is_dir() for path in inner.iterdir() if path.is_file()]
    return files


def _of_files(folder: Path, files: Sequence[Path]) -> list[Any]:
    return [(str(path.relative_to(folder)), file_sha256(path)) for path in sorted(files)]


def _external_data(path: Path) -> list[Path]:
    """Files beside an ONNX file that hold its tensors. Raises ``NoKeyError`` where there are none to be read."""
    try:
        import onnx

        model = onnx.load(str(path), load_external_data=False)
        places = {
            entry.value
            for tensor in model.graph.initializer
            for entry in tensor.external_data
            if entry.key == "location"
        }
    except Exception as error:
        raise NoKeyError from error
    files = [path.parent / place for place in sorted(places)]
    if not all(file.is_file() and file.resolve().is_relative_to(path.parent.resolve()) for file in files):
        raise NoKeyError
    return files


def _commit(name: str) -> str:
    """Commit of a model's repository on the hub that is the newest, or the newest at hand where the hub is not."""
    try:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(name, "config.json")).parent.name
    except Exception as error:
        raise NoKeyError from error


def _of_value(value: Any) -> list[Any]:
    """A value as lists of plain ones; arrays by the hash of their bytes."""
    if isinstance(value, Mapping):
        return [(str(name), _of_value(item)) for name, item in value.items()]
    if value is None or isinstance(value, str | int | float):
        return [type(value).__name__, value]
    if isinstance(value, Tensor | np.ndarray):
        tensor = torch.as_tensor(value)
        return [dtype_name(tensor.dtype), list(tensor.shape), hashlib.sha256(tensor_bytes(tensor)).hexdigest()]
    if isinstance(value, list | tuple):
        return [_of_value(item) for item in value]
    raise NoKeyError


@cache
def _of_software() -> list[Any]:
    """Versions of packages, and a hash of tilewright's own code, which changes between versions."""
    code = hashlib.sha256()
    for path in sorted(_own_code()):
        code.update(path.read_bytes())
    return [*map(_version, PACKAGES), code.hexdigest()]


def _own_code() -> Iterator[Path]:
    for package in (tilewright.compiler, tilewright.runtime):
        yield from Path(str(package.__file__)).parent.rglob("*.py")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
