"""Workers: processes that do pieces of work side by side. One that is killed is replaced, and its piece done again."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from tilewright.runtime.storage.memory_budget import memory_left
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_whole

Item = TypeVar("Item")
Part = TypeVar("Part")
Function = Callable[[Item], Iterator[Part]]
"""Function of a piece of work that gives its results one after another."""

DEATHS = 2
"""Workers that a piece of work may take with it before it is given up."""
OWN_MEMORY = 350 * 2**20
"""Bytes that a worker takes for Python, torch and tilewright."""
MOST = 1024


def do_all(
    function: Function[Item, Part],
    items: Sequence[Item],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    memory: int = 0,
    called: Callable[[Item], str] = str,
) -> Iterator[tuple[int, Part]]:
    """Results of a function for all items, each with its item's number, as they are made.

    With one worker items are done here, one after another. Else in so many processes, or by an executor, which has as
    many as it has: function and items are then pickled, and of one item the results keep their order. memory: bytes
    that an item takes, which are asked for before workers start. called: an item's name in sentences.

    Raises what the function raises, and ``InputError`` where memory is short or an item kills two workers.
    """
    check_whole("workers", workers, most=MOST)
    if executor is not None:
        yield from _by_executor(function, items, executor)
    elif min(workers, len(items)) <= 1:
        for number, item in enumerate(items):
            for part in function(item):
                yield number, part
    else:
        count = min(workers, len(items))
        _check_room(count, memory + OWN_MEMORY)
        with _Crew(function, items, count, called) as crew:
            yield from crew.results()


def _check_room(count: int, each: int) -> None:
    left = memory_left()
    if count * each > left:
        raise InputError(
            f"{count} workers would take {count * each:,} bytes of memory, and there are {left:,}: there is room for "
            f"{max(1, left // each)}"
        )


def _by_executor(
    function: Function[Item, Part], items: Sequence[Item], executor: Executor
) -> Iterator[tuple[int, Part]]:
    futures = {executor.submit(_listed, function, item): number for number, item in enumerate(items)}
    try:
        for future in as_completed(futures):
            for part in future.result():
                yield futures[future], part
    finally:
        for future in futures:
            future.cancel()


def _listed(function: Function[Item, Part], item: Item) -> list[Part]:
    return list(function(item))


class _Worker:
    """One process, and the pipe to it. number: of the item that it works on, None while it waits."""

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads may wait for ever
        self.pipe, theirs = context.Pipe()
        # a daemon: it ends with this process
        self.process = context.Process(target=_serve, args=(theirs, threads), name="tilewright worker", daemon=True)
        self.process.start()
        theirs.close()  # so that its end closes the pipe
        self.number: int | None = None

    def stop(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Crew(Generic[Item, Part]):
    """Workers and the items that are left for them."""

    def __init__(
        self, function: Function[Item, Part], items: Sequence[Item], count: int, called: Callable[[Item], str]
    ) -> None:
        self.function, self.items, self.called = function, items, called
        self.waiting = deque(range(len(items)))
        self.received, self.deaths = Counter[int](), Counter[int]()
        self.threads = max(1, cores() // count)
        self.workers = [_Worker(self.threads) for _ in range(count)]

    def __enter__(self) -> _Crew[Item, Part]:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.stop()

    def results(self) -> Iterator[tuple[int, Part]]:
        """Results as they come, until all items are done."""
        for worker in self.workers:
            self._give(worker)
        while any(worker.number is not None for worker in self.workers):
            for pipe in wait([worker.pipe for worker in self.workers if worker.number is not None]):
                place = next(place for place, worker in enumerate(self.workers) if worker.pipe is pipe)
                yield from self._heard(place)

    def _heard(self, place: int) -> Iterator[tuple[int, Part]]:
        """Results of one message of a worker, which is given another item at the end of its own."""
        worker = self.workers[place]
        number = worker.number
        assert number is not None
        try:
            kind, content = pickle.loads(worker.pipe.recv_bytes())  # noqa: S301 (of a process of our own)
        except (EOFError, OSError):
            self._replace(place, number)
            return
        if kind == "part":
            at, part = content
            if at == self.received[number]:  # others came before the worker was replaced
                self.received[number] += 1
                yield number, part
        elif kind == "failed":
            raise content
        else:
            self._give(worker)

    def _give(self, worker: _Worker) -> None:
        worker.number = self.waiting.popleft() if self.waiting else None
        if worker.number is not None:
            with suppress(OSError):  # it is dead: reading from it will tell
                worker.pipe.send_bytes(pickle.dumps((self.function, self.items[worker.number])))

    def _replace(self, place: int, number: int) -> None:
        """Start a worker in place of a dead one, for the same item. Raises ``InputError`` if it is not the first."""
        worker = self.workers[place]
        worker.stop()
        self.deaths[number] += 1
        if self.deaths[number] >= DEATHS:
            raise InputError(
                f"{self.called(self.items[number])} killed {DEATHS} workers, the last {_how(worker.process.exitcode)}; "
                "what was measured before is kept where results are"
            )
        self.workers[place] = _Worker(self.threads)
        self.waiting.appendleft(number)
        self._give(self.workers[place])


def _how(exitcode: int | None) -> str:
    """How a process ended, in words."""
    if exitcode is None or exitcode >= 0:
        return f"by exit status {exitcode}: a program that starts workers does it under if __name__ == '__main__'"
    name = signal.Signals(-exitcode).name if -exitcode in signal.valid_signals() else str(-exitcode)
    return f"by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")


def cores() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(pipe: Connection, threads: int) -> None:
    """Do the items that come through a pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the first one decides
    import torch

    torch.set_num_threads(threads)
    with suppress(EOFError, OSError):
        while True:
            function, item = pickle.loads(pipe.recv_bytes())  # noqa: S301 (of the process that began this one)
            try:
                for number, part in enumerate(function(item)):
                    _send(pipe, "part", (number, part))
            except Exception as error:  # noqa: BLE001 - whatever it is, the first process raises it
                _tell(pipe, error)
                return
            _send(pipe, "done", None)


def _tell(pipe: Connection, error: Exception) -> None:
    """Send what an item raised; a bug of ours keeps its traceback, which is not pickled with it."""
    text = traceback.format_exc()
    if not isinstance(error, InputError):
        error.add_note(f"in a worker:\n{text}")
    try:
        _send(pipe, "failed", error)
    except (pickle.PicklingError, AttributeError, TypeError):
        _send(pipe, "failed", RuntimeError(f"in a worker:\n{text}"))


def _send(pipe: Connection, kind: str, content: object) -> None:
    """Send as bytes: a pipe's own pickler would share the memory of tensors, which ends with the process."""
    pipe.send_bytes(pickle.dumps((kind, content)))
