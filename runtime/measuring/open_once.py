"""A thing that a process opens once for many pieces of work, such as a plan; threads of an executor share it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import RLock
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class OpenOnce(Generic[Thing]):
    """Holder of the one thing that is open, by its name: one is enough, and may be large."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._open: tuple[Hashable, Thing] | None = None

    def get(self, name: Hashable, make: Callable[[], Thing]) -> Thing:
        """The thing of that name, made now unless it is open. Other threads wait meanwhile."""
        with self._lock:
            if self._open is None or self._open[0] != name:
                self.close()  # before another is made: there may be no room for both
                self._open = name, make()
            return self._open[1]

    def close(self) -> None:
        """Let the thing go."""
        self._open = None
