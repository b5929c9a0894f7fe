"""Numbers of a module that stay precise when the module is cast to 16 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def own_formats(module: nn.Module, names: list[str]) -> Iterator[None]:
    """Let parameters and buffers of these names move with the module, and keep their formats where it is cast to less.

    A range moves by a thousandth at a time, which bfloat16 has no numbers for.
    """
    before = {name: value.detach() for name in names if isinstance(value := getattr(module, name, None), Tensor)}
    yield
    for name, kept in before.items():
        now: Tensor = getattr(module, name)
        if now.dtype.itemsize >= kept.dtype.itemsize:
            continue
        moved = kept.to(now.device)
        if isinstance(now, nn.Parameter):
            now.data = moved
        else:
            setattr(module, name, moved)


Change = Callable[[Tensor], Tensor]
"""Function of each tensor of a module, as torch applies it where a module is moved or cast."""
