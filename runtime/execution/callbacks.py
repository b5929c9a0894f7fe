"""Functions of the caller's that are told how far a long work is."""

from __future__ import annotations

from typing import Protocol


class OnLayer(Protocol):
    """Function that is called with each layer's name once it is done, as ``print`` could be."""

    def __call__(self, name: str, /) -> None:
        """Take the name of a layer that was programmed or advanced."""


class OnProgress(Protocol):
    """Function that is called with how many things are done, how many there are, and which one it is."""

    def __call__(self, done: int, count: int, what: str, /) -> None:
        """Take numbers of things that are done and to be done, and one of them in words: "chip 0 at 1mo"."""
