"""Numbers of the samples that are being read, and of a loop's step: they name the noise of each read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

_samples: ContextVar[Sequence[int]] = ContextVar("samples", default=(0,))
_step: ContextVar[int] = ContextVar("step", default=0)


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


def step_read() -> int:
    """Number of the step of the loop that reads; 0 outside of any."""
    return _step.get()


@contextmanager
def stepping(step: int) -> Iterator[None]:
    """Let layers that this context calls read at that step of a loop while the ``with`` block runs."""
    token = _step.set(step)
    try:
        yield
    finally:
        _step.reset(token)
