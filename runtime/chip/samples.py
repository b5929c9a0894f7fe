"""Numbers of the samples that are being read: they name the noise of each read, and belong to a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_samples: ContextVar[Sequence[int]] = ContextVar("samples", default=(0,))


def samples_read() -> Sequence[int]:
    """Numbers of the samples of the innermost run of this context; sample 0 outside of any.

    A thread has a context of its own, and ``in_parallel`` hands the caller's on: runs side by side do not mix.
    """
    return _samples.get()


@contextmanager
def reading(samples: Sequence[int]) -> Iterator[None]:
    """Let layers that this context calls read these samples while the ``with`` block runs."""
    token = _samples.set(samples)
    try:
        yield
    finally:
        _samples.reset(token)
