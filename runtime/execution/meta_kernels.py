"""torch's kernels for shapes, without torch's compiler.

Many kernels of the meta device are written in Python and wrapped by ``torch._disable_dynamo``. At its first call such a
wrapper imports the compiler, which takes a second and seventy megabytes, only to ask it to leave the kernel alone.
Where there is no compiler there is nobody to ask.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FunctionType
from typing import Any

from torch._compile import _disable_dynamo
from torch._decomp import global_decomposition_table

ASKED = "__dynamo_disable"
"""Attribute of a wrapped kernel: what its wrapper calls in its place, once it has asked."""


@contextmanager
def without_compiler() -> Iterator[None]:
    """Let kernels of the meta device run as they are. A compiler that is loaded already is asked as ever.

    Where another thread is inside and leaves first, the rest asks again: later, with the same results.
    """
    kernels = () if "torch._dynamo" in sys.modules else _wrapped_kernels()
    for kernel in kernels:
        setattr(kernel, ASKED, kernel)
    try:
        yield
    finally:
        for kernel in kernels:
            if vars(kernel).get(ASKED) is kernel:
                vars(kernel).pop(ASKED, None)


@cache
def _wrapped_kernels() -> tuple[Callable[..., Any], ...]:
    """Kernels for shapes, and what they call, that are inside a wrapper."""
    wrapper = _disable_dynamo(lambda: None).__code__
    modules = [sys.modules.get(f"torch.{name}") for name in ("_refs", "_refs.nn.functional", "_decomp.decompositions")]
    waiting = [value for module in modules if module is not None for value in vars(module).values()]
    waiting += global_decomposition_table["meta"].values()
    seen: set[int] = set()
    found: list[Callable[..., Any]] = []
    while waiting:
        function = waiting.pop()
        if isinstance(function, FunctionType) and id(function) not in seen:
            seen.add(id(function))
            inside = list(_closed_over(function))
            waiting += inside
            if function.__code__ is wrapper:
                found += [value for value in inside if isinstance(value, FunctionType)]
    return tuple(found)


def _closed_over(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it is empty still
            yield cell.cell_contents
