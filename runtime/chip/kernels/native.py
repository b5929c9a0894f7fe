"""The compiled library: found, loaded, and asked for what it can do. Where there is none, torch does the same."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from tilewright.targets.errors import InputError, nearest

LIBRARY = "tilewright.runtime.chip.kernels._native"
FORCED = "TILEWRIGHT_KERNELS"
"""Environment variable that forces a set of kernels: off, plain, avx2 or avx512. For tests, and to compare."""
TORCH = "off"
"""Name of no kernels: the law in torch."""
SETS = ("plain", "avx2", "avx512")
"""Instruction sets that kernels are compiled for, by their numbers in dispatch.c."""
FEATURES = ("avx2", "avx512f", "avx512bw_vl", "avx512_vnni")
"""Features of a processor, by their bits in dispatch.c."""
NEEDED = {"plain": set[str](), "avx2": {"avx2"}, "avx512": set(FEATURES)}
"""Features that each set needs."""


NOT_BUILT = "the compiled library is not there: no C compiler was found when tilewright was installed"
"""Reason for the law in torch where the library was not built."""


@dataclass(frozen=True)
class Native:
    """The library, and the instruction set that it is to use."""

    library: ctypes.CDLL
    set: int


@dataclass(frozen=True)
class Kernels:
    """The kernels that run in this process, and why not better ones."""

    name: str
    """Instruction set: avx512, avx2 or plain; off where the law in torch runs, which gives the same bits, slower."""
    why: str
    """Reason for these and no better ones, in a sentence."""
    features: tuple[str, ...]
    """Features that matter here and that this processor has; none where there is no library to tell them."""
    library: Path | None
    """File of the compiled library."""


@cache
def loaded() -> Native | None:
    """The library with the instruction set that is to be used; None where torch is."""
    return _found()[0]


def kernels() -> Kernels:
    """Kernels that this process uses. Raises ``InputError`` if the environment forces unknown ones."""
    return _found()[1]


def _found() -> tuple[Native | None, Kernels]:
    forced = os.environ.get(FORCED, "")
    if forced:
        check_forced(forced)
    file = _file()
    if file is None:
        return None, Kernels(TORCH, NOT_BUILT, (), None)
    try:
        library = ctypes.CDLL(str(file))
    except OSError as error:
        return None, Kernels(TORCH, f"the compiled library cannot be loaded: {error}", (), file)
    bits = int(library.tw_features())
    features = tuple(name for bit, name in enumerate(FEATURES) if bits >> bit & 1)
    best = next(name for name in reversed(SETS) if NEEDED[name] <= set(features))
    if forced == TORCH:
        return None, Kernels(TORCH, f"{FORCED} is {forced}", features, file)
    name = min(forced, best, key=SETS.index) if forced else best
    why = f"{FORCED} is {forced}, and this processor's best is {best}" if forced else _why(best, features)
    return Native(library, SETS.index(name)), Kernels(name, why, features, file)


def check_forced(name: str) -> None:
    """Raise ``InputError`` for a name of no kernels."""
    if name not in (TORCH, *SETS):
        raise InputError(f"{FORCED} is {name!r}; {nearest(name, (TORCH, *SETS))}")


def _file() -> Path | None:
    """File of the library, of whatever name the platform gives it; None if it was not built."""
    found = find_spec(LIBRARY)
    return Path(found.origin) if found is not None and found.origin is not None else None


def _why(best: str, features: tuple[str, ...]) -> str:
    """Reason why there is no better set than the best of this processor, in a sentence."""
    if best == SETS[-1]:
        return "the best for this processor, and there is no better set"
    missing = sorted(NEEDED[SETS[SETS.index(best) + 1]] - set(features))
    return f"the best for this processor: {SETS[SETS.index(best) + 1]} needs {', '.join(missing)}"


def normal_numbers(key: int, places: Tensor, width: int, *, fine: bool) -> Tensor | None:
    """Standard normal numbers [places, width] as ``normal_law`` makes them; None without the library."""
    native = loaded()
    if native is None:
        return None
    made = torch.empty(len(places), width)
    places = places.contiguous()
    native.library.tw_normal_numbers(
        native.set, ctypes.c_uint64(key), pointer(places), ctypes.c_size_t(len(places)), ctypes.c_size_t(width),
        int(fine), pointer(made),
    )  # fmt: skip
    return made


def address(tensor: Tensor | None) -> int | None:
    """Address of a tensor's numbers, for a field of a structure; None, which is NULL there, of none."""
    return None if tensor is None else tensor.data_ptr()


def pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    """Address of a tensor's numbers, as an argument; NULL of none."""
    return ctypes.c_void_p(address(tensor))


def is_readable(tensor: Tensor) -> bool:
    """True if kernels can read a tensor as numbers of float32: where the processor does."""
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu"
