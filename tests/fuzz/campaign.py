"""The parent: forks warm children, each with some mutants, learns which one felled a child, and goes on behind it."""

import gc
import os
import selectors
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz import child
from tests.fuzz.verdict import Verdict, of_last_words

ASLEEP = 15
"""Seconds without any processor time after which a child hangs; how long it may work is limited in itself."""


@dataclass
class Worker:
    """A child at work: what it was given, what it told."""

    kind: str
    seeds: list[int]
    pid: int
    pipe: int
    last_words: Path
    folder: Path
    verdicts: list[Verdict] = field(default_factory=list)
    begun: int | None = None
    since: float = 0.0
    """Time at which the child was last seen to take processor time."""
    taken: list[str] = field(default_factory=list)
    stopped: bool = False
    unread: bytes = b""

    def heard(self, data):
        """Take in what the child wrote on the pipe."""
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            if line.startswith(b"begun "):
                self.begun = int(line[6:])
            else:
                self.verdicts.append(Verdict.from_json(line))
                self.begun = None


def campaign(next_batch, finished, jobs):
    """Run batches until there are no more.

    next_batch: () -> (kind, seeds) or None. finished: called with (kind, verdicts) of each batch. jobs: children at
    once.
    """
    gc.collect()
    gc.freeze()  # what the parent has is not looked through by each child
    workers: dict[int, Worker] = {}
    selector = selectors.DefaultSelector()
    place = Path(tempfile.mkdtemp(prefix="tilewright-fuzz-"))
    try:
        while True:
            while len(workers) < jobs and (batch := next_batch()) is not None:
                kind, seeds = batch
                _begin(kind, seeds, [], place, workers, selector)
            if not workers:
                return
            for key, _ in selector.select(timeout=1):
                data = os.read(key.fd, 2**16)
                workers[key.fd].heard(data)
                if not data:
                    _end(workers.pop(key.fd), place, workers, selector, finished)
            for worker in workers.values():
                _wake(worker)
    finally:
        for worker in workers.values():
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
        shutil.rmtree(place, ignore_errors=True)


def _begin(kind, seeds, verdicts, place, workers, selector):
    """Fork a child for these mutants; ``verdicts`` are those of the batch that are there already."""
    reader, writer = os.pipe()
    folder = Path(tempfile.mkdtemp(dir=place))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reader)
            for other in workers:
                os.close(other)
            nothing = os.open(folder / "output", os.O_RDWR | os.O_CREAT)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            with os.fdopen(writer, "w") as report, (folder / "last_words").open("w+") as last_words:
                child.run_range(kind, seeds, report, last_words, folder / "mutant")
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    workers[reader] = Worker(kind, seeds, pid, reader, folder / "last_words", folder, verdicts, since=time.monotonic())
    selector.register(reader, selectors.EVENT_READ)


def _wake(worker):
    """Stop a child that sleeps."""
    times = Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
    if times != worker.taken:
        worker.taken, worker.since = times, time.monotonic()
    elif time.monotonic() - worker.since > ASLEEP and not worker.stopped:
        os.kill(worker.pid, signal.SIGABRT)  # faulthandler tells where it was
        worker.stopped = True


def _end(worker, place, workers, selector, finished):
    """A child is gone: what it was at when it fell, and a new one for the rest."""
    selector.unregister(worker.pipe)
    os.close(worker.pipe)
    _, status = os.waitpid(worker.pid, 0)
    words = worker.last_words.read_text(errors="replace") if worker.last_words.exists() else ""
    said = (worker.folder / "output").read_text(errors="replace") if status else ""
    shutil.rmtree(worker.folder, ignore_errors=True)
    if status and worker.begun is None:
        raise RuntimeError(f"a child for {worker.kind} ended between mutants, status {status}: {words} {said[-3000:]}")
    rest = []
    if worker.begun is not None:
        rest = [seed for seed in worker.seeds if seed > worker.begun]
        where, first = of_last_words(words)
        message = first or said.strip()[-200:]
        worker.verdicts.append(
            Verdict(worker.kind, worker.begun, fell=_how(status, worker.stopped), place=where, message=message)
        )
    if rest:
        _begin(worker.kind, rest, worker.verdicts, place, workers, selector)
    else:
        finished(worker.kind, worker.verdicts)


def _how(status, stopped):
    if stopped:
        return "hang"
    if not os.WIFSIGNALED(status):
        return f"left with code {os.waitstatus_to_exitcode(status)}"
    number = os.WTERMSIG(status)
    return "too slow" if number == signal.SIGPROF else signal.Signals(number).name
