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
from threading import Lock, RLock
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
    workers: int | Workers = 1,
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
    if executor is not None:
        yield from _by_executor(function, items, executor)
    elif is_here(len(items), workers, None):
        for number, item in enumerate(items):
            for part in function(item):
                yield number, part
    elif isinstance(workers, Workers):
        yield from workers.results(function, items, memory, called)
    else:
        with Workers(workers) as own:
            yield from own.results(function, items, memory, called)


def is_here(items: int, workers: int | Workers, executor: Executor | None) -> bool:
    """True if so many items are done in this process."""
    if not isinstance(workers, Workers):
        check_whole("workers", workers, most=MOST)
    count = workers.count if isinstance(workers, Workers) else workers
    return items == 0 or (executor is None and min(count, items) == 1)


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


class Workers:
    """Processes that do pieces of work, kept from one call to the next; they end with the ``with`` block.

    ``evaluate(workers=...)`` takes one, or a number for processes of its own.
    """

    def __init__(self, count: int) -> None:
        """Allow so many processes, each with its share of the cores. They start when there is work."""
        check_whole("workers", count, most=MOST)
        self.count, self.threads = count, max(1, cores() // count)
        self._workers: list[_Worker] = []
        self._turn, self._closed = Lock(), False

    def __enter__(self) -> Workers:
        """Begin; nothing is started yet."""
        self._closed = False
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        self._closed = True
        self._stop(self._workers)

    def results(
        self, function: Function[Item, Part], items: Sequence[Item], memory: int, called: Callable[[Item], str]
    ) -> Iterator[tuple[int, Part]]:
        """Results of all items as they come; see ``do_all``."""
        if self._closed:
            raise InputError("these workers have ended: use them inside of their with block")
        if not self._turn.acquire(blocking=False):
            raise InputError("these workers are at work for another call: give each call workers of its own")
        try:
            yield from self._results(function, items, memory, called)
        finally:
            self._turn.release()

    def _results(
        self, function: Function[Item, Part], items: Sequence[Item], memory: int, called: Callable[[Item], str]
    ) -> Iterator[tuple[int, Part]]:
        wanted = min(self.count, len(items))
        _check_room(wanted - len(self._workers), memory + OWN_MEMORY)
        while len(self._workers) < wanted:
            self._workers.append(_Worker(self.threads))
        job = _Job(function, items, called)
        try:
            for worker in self._workers:
                job.give(worker)
            while any(worker.number is not None for worker in self._workers):
                for pipe in wait([worker.pipe for worker in self._workers if worker.number is not None]):
                    worker = next(worker for worker in self._workers if worker.pipe is pipe)
                    yield from self._heard(worker, job)
        finally:
            self._stop([worker for worker in self._workers if worker.number is not None])

    def _heard(self, worker: _Worker, job: _Job[Item, Part]) -> Iterator[tuple[int, Part]]:
        """Results of one message of a worker, which is given another item at the end of its own."""
        number = worker.number
        assert number is not None
        try:
            kind, content = pickle.loads(worker.pipe.recv_bytes())  # noqa: S301 (of a process of our own)
        except (EOFError, OSError):
            self._stop([worker])
            job.died(number, worker.process.exitcode)
            self._workers.append(_Worker(self.threads))
            job.give(self._workers[-1])
            return
        if kind == "part":
            at, part = content
            if at == job.received[number]:  # others came before the worker was replaced
                job.received[number] += 1
                yield number, part
        elif kind == "failed":
            raise content
        else:
            job.give(worker)

    def _stop(self, workers: Sequence[_Worker]) -> None:
        for worker in list(workers):
            self._workers.remove(worker)
            worker.stop()


def _check_room(count: int, each: int) -> None:
    """Raise ``InputError`` if there is no memory for so many workers of so many bytes."""
    left = memory_left()
    if count > 0 and count * each > left:
        raise InputError(
            f"{count} workers would take {count * each:,} bytes of memory, and there are {left:,}: there is room for "
            f"{max(1, left // each)}"
        )


class _Job(Generic[Item, Part]):
    """Items of one call: those that wait, how many results of each there are, and the workers that each killed."""

    def __init__(self, function: Function[Item, Part], items: Sequence[Item], called: Callable[[Item], str]) -> None:
        self.function, self.items, self.called = function, items, called
        self.waiting = deque(range(len(items)))
        self.received, self.deaths = Counter[int](), Counter[int]()

    def give(self, worker: _Worker) -> None:
        """Give the next item to a worker, or none."""
        worker.number = self.waiting.popleft() if self.waiting else None
        if worker.number is not None:
            with suppress(OSError):  # it is dead: reading from it will tell
                worker.pipe.send_bytes(pickle.dumps((self.function, self.items[worker.number])))

    def died(self, number: int, exitcode: int | None) -> None:
        """Let an item wait again whose worker died. Raises ``InputError`` if it is not the first one."""
        self.deaths[number] += 1
        if self.deaths[number] >= DEATHS:
            raise InputError(
                f"{self.called(self.items[number])} killed {DEATHS} workers, the last {_how(exitcode)}; what was "
                "measured before is kept where results are"
            )
        self.waiting.appendleft(number)


def _how(exitcode: int | None) -> str:
    """End of a process, in words."""
    if exitcode is None or exitcode >= 0:
        return f"by exit status {exitcode}: a program that starts workers does it under if __name__ == '__main__'"
    name = signal.Signals(-exitcode).name if -exitcode in signal.valid_signals() else str(-exitcode)
    return f"by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")


def cores() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(pipe: Connection, threads: int) -> None:
    """Work of a process: the items that come through a pipe, until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: the first one decides
    import torch

    torch.set_num_threads(threads)
    with suppress(ImportError):
        from tqdm import tqdm

        tqdm.set_lock(RLock())  # its own is a semaphore of the system's, which a worker that is killed leaves behind
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
