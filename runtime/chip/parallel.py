"""Parallel work: one function called for many things, several at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_here = threading.local()
"""State of each thread: ``works`` is True on a worker."""


def workers() -> int:
    """Number of things that can be done at once: torch's number of threads; one inside a worker."""
    return 1 if getattr(_here, "works", False) else torch.get_num_threads()


def in_parallel(
    function: Callable[[Item], Result], items: Sequence[Item], *, caller_helps: bool = False
) -> Iterator[Result]:
    """The results in order, ``workers()`` calls at once, each on one thread.

    Several threads in one operator wait for each other at its end; here they meet when all is done. Results must
    not depend on what runs beside them. Calls see the caller's context variables and its inference and gradient
    modes, which threads do not inherit. caller_helps: the first call is made on the caller's own thread while the
    others begin; for a function that runs no operator of torch, which would take several threads there.
    """
    count = min(workers(), len(items))
    if count <= 1:
        yield from map(function, items)
        return
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def call(item: Item) -> Result:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return function(item)

    pool, here = _pool(workers()), 1 if caller_helps else 0
    futures = [pool.submit(copy_context().run, call, item) for item in items[here:]]
    try:
        yield from map(function, items[:here])
        for future in futures:
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


@cache
def _pool(size: int) -> ThreadPoolExecutor:
    """Threads in which torch's operators use one thread each."""
    all_started = threading.Barrier(size + 1)

    def start() -> None:
        _here.works = True
        torch.set_num_threads(1)  # for this thread, and for those that begin after it

    pool = ThreadPoolExecutor(size, thread_name_prefix="tilewright", initializer=start)
    for _ in range(size):
        pool.submit(all_started.wait)
    all_started.wait()
    torch.set_num_threads(size)
    return pool


def _begin_anew() -> None:
    """Forget the pools in a forked child, and let torch's operators run on its one thread.

    The parent's threads are not there, neither the pools' nor torch's: a child would wait for them without end.
    """
    _pool.cache_clear()
    if torch.get_num_threads() > 1:
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_begin_anew)
