"""The same work for many things, several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """The results in order, as many calls at once as torch has threads.

    It pays where calls are made of serial work, as drawing random numbers is, and results do not depend on what runs
    beside them. Calls see the caller's inference and gradient modes, which threads do not inherit.
    """
    workers = min(torch.get_num_threads(), len(items))
    if workers <= 1:
        yield from map(function, items)
        return
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def call(item: Item) -> Result:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            return function(item)

    pool = ThreadPoolExecutor(workers, thread_name_prefix="tilewright")
    try:
        yield from pool.map(call, items)
    finally:
        pool.shutdown(cancel_futures=True)
