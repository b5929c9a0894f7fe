"""Turns of the threads that share a session: many readings of its chip at once, or one change of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

_all: WeakSet[Turns] = WeakSet()


class Turns:
    """Turns at a chip: readings run side by side; a change waits for them, and those that come later wait for it."""

    def __init__(self) -> None:
        self._begin()
        _all.add(self)

    def _begin(self, depth: int = 0) -> None:
        self.lock = threading.Condition()
        """Lock that is held for the moment of what no two threads may do at once."""
        self._reading, self._waiting = depth, 0
        self._here = threading.local()
        self._here.depth = depth

    def __reduce__(self) -> tuple[type[Turns], tuple[()]]:
        """Turns of a copy begin anew: nobody is reading it."""
        return Turns, ()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read: nothing changes while the ``with`` block runs. A thread may read inside its own reading."""
        with self.lock:
            self.lock.wait_for(lambda: self.depth or not self._waiting)
            self._reading += 1
        self._here.depth = self.depth + 1
        try:
            yield
        finally:
            self._here.depth = self.depth - 1
            with self.lock:
                self._reading -= 1
                self.lock.notify_all()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change: no other thread reads while the ``with`` block runs.

        Raises ``RuntimeError`` in a reading of this thread, which would wait for itself.
        """
        if self.depth:
            raise RuntimeError("a session cannot be changed in the middle of its own run")
        with self.lock:
            self._waiting += 1
            try:
                self.lock.wait_for(lambda: not self._reading)
                self._here.depth = 1  # a reading in the middle of the change need not wait for its end
                yield
            finally:
                self._here.depth = 0
                self._waiting -= 1
                self.lock.notify_all()

    @property
    def depth(self) -> int:
        """Number of readings and changes that this thread is in the middle of."""
        found: int = getattr(self._here, "depth", 0)
        return found


def _begin_anew() -> None:
    """Free what other threads held, in a forked child, which has one thread."""
    for turns in list(_all):
        turns._begin(turns.depth)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
