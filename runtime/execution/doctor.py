"""Diagnosis of an installation: kernels and why not better ones, threads, cache, versions, optional packages."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from tilewright.runtime.chip.kernels.native import Kernels, kernels
from tilewright.runtime.storage.cache_folder import MOST_KEPT, bytes_in, cache_folder, cache_problem
from tilewright.targets.draws_version import VERSION

REQUIRED = ("tilewright", "torch")
OPTIONAL = {"transformers": "huggingface", "onnx": "onnx", "onnxruntime": "onnx", "matplotlib": "plots"}
"""Packages that parts of tilewright need, by the extra that installs them."""


@dataclass(frozen=True)
class Diagnosis:
    """Diagnosis of an installation, as ``doctor`` makes it.

    kernels: those of the hot loops. draws: version of the random numbers; seeds name the same chips everywhere that it
    is the same. threads: that torch and the kernels use. processor: its architecture. cache: folder of traced networks
    that are kept; None if it is switched off. cache_bytes: what they take. cache_limit: bytes that they take at most.
    cache_problem: why nothing can be kept there; None if something can, or if it is switched off. versions: of Python
    and packages; None of an optional package that is not installed.
    """

    kernels: Kernels
    draws: int
    threads: int
    processor: str
    cache: Path | None
    cache_bytes: int
    cache_limit: int
    cache_problem: str | None
    versions: dict[str, str | None]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        library = self.kernels.library
        kernels = asdict(self.kernels) | {"library": None if library is None else str(library)}
        return asdict(self) | {"kernels": kernels, "cache": None if self.cache is None else str(self.cache)}


def doctor() -> Diagnosis:
    """Tell what this installation runs with, and why not something better.

    Raises ``InputError`` if the environment variable TILEWRIGHT_KERNELS names no kernels.
    """
    versions = {"python": platform.python_version()} | {name: _version(name) for name in (*REQUIRED, *OPTIONAL)}
    cache = cache_folder()
    taken = 0 if cache is None else bytes_in(cache)
    problem = None if cache is None else cache_problem(cache)
    return Diagnosis(
        kernels=kernels(),
        draws=VERSION,
        threads=torch.get_num_threads(),
        processor=platform.machine(),
        cache=cache,
        cache_bytes=taken,
        cache_limit=MOST_KEPT,
        cache_problem=problem,
        versions=versions,
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
