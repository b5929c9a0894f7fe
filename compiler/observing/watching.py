"""A look at the arguments of modules while a graph runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


def read_vectors(arguments: tuple[Any, ...]) -> Tensor:
    """Vectors [rows, in] that a call of a layer reads: those alone that are chosen for an expert."""
    x, *_, chosen = [*arguments, None, None][:3]
    rows: Tensor = x.reshape(-1, x.shape[-1])
    return rows if chosen is None else rows[chosen.reshape(-1)]


Watcher = Callable[[tuple[Any, ...]], None]


@contextmanager
def watching(graph: nn.Module, watchers: dict[str, Watcher]) -> Iterator[None]:
    """Call a watcher with the arguments, before the module at its path runs."""
    handles = []
    for path, see in watchers.items():

        def before(_module: nn.Module, arguments: tuple[Any, ...], see: Watcher = see) -> None:
            see(arguments)

        handles.append(graph.get_submodule(path).register_forward_pre_hook(before))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
