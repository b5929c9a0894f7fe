"""Figures of the digital reference and of chips: those that a log has, and the others as they are measured."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.chip_work import Bench, ChipWork, SentBench, TaskSource, check_sendable, measured_chip
from tilewright.runtime.measuring.measurements import Measured, MeasurementLog
from tilewright.runtime.measuring.workers import do_all
from tilewright.targets.errors import InputError

DIGITAL: dict[str, Any] = {"digital": True}
"""Name of the digital reference among measurements: it depends on no chip."""
FACTOR = 1.9
"""Memory of a session beside that of the weights in their file, which processes share."""


class MeasuredChips:
    """Figures of a bench's chips, of which each is measured once.

    times: in seconds, by the names that they were asked for. workers, executor: where chips are measured; here if
    neither is given.
    """

    def __init__(
        self,
        bench: Bench,
        source: TaskSource,
        log: MeasurementLog,
        times: Mapping[str, float],
        *,
        workers: int = 1,
        executor: Executor | None = None,
        on_measurement: OnProgress | None = None,
    ) -> None:
        """Take what is measured. source: what the bench's task is made of, for other processes."""
        self.bench, self.source, self.log, self.times = bench, source, log, times
        self.workers, self.executor, self.on_measurement = workers, executor, on_measurement
        self._asked: set[tuple[int, str]] = set()
        self._done = 0

    def measure(self, chips: Mapping[str, Sequence[int]]) -> None:
        """Measure the digital reference, and these chips at each of these times, but for what is known."""
        new = [(repeat, time) for time, repeats in chips.items() for repeat in repeats]
        new = sorted({*new} - self._asked, key=lambda one: one[0])
        first, self._asked = not self._asked, self._asked | {*new}
        if first:
            self.log.measured(DIGITAL, self.bench.digital)
            self._tell("digital")
        left: dict[int, dict[float, str]] = {}
        for repeat, time in new:
            seconds = self.times[time]
            if self.log.known(self._named(repeat, seconds)) is not None or seconds in left.get(repeat, {}):
                self._tell(f"chip {repeat} at {time}")
            else:
                left.setdefault(repeat, {})[seconds] = time
        with ExitStack() as stack:
            bench = self._sent(stack) if self._elsewhere(len(left)) else self.bench
            works = [ChipWork(bench, repeat, tuple(times)) for repeat, times in left.items()]
            names = [iter(times.items()) for times in left.values()]
            for number, found in do_all(
                measured_chip, works, workers=self.workers, executor=self.executor, memory=self._memory(), called=str
            ):
                (seconds, time), repeat = next(names[number]), works[number].repeat
                self.log.add(self._named(repeat, seconds), found)
                self._tell(f"chip {repeat} at {time}")

    @property
    def digital(self) -> Measured:
        """Figure of the digital reference, which was measured."""
        return self._known(DIGITAL)

    def by_time(self, chips: Mapping[str, Sequence[int]]) -> dict[str, list[Measured]]:
        """Figures of these chips, which were measured, at each time."""
        return {
            time: [self._known(self._named(repeat, self.times[time])) for repeat in repeats]
            for time, repeats in chips.items()
        }

    def _known(self, measurement: dict[str, Any]) -> Measured:
        found = self.log.known(measurement)
        assert found is not None
        return found

    def _named(self, repeat: int, seconds: float) -> dict[str, Any]:
        how = self.bench.settings  # the digital reference depends on neither of the two
        return {
            "seed": how.seed, "drift_compensation": how.drift_compensation, "repeat": repeat, "seconds": seconds,
        }  # fmt: skip

    def _tell(self, what: str) -> None:
        self._done += 1
        if self.on_measurement:
            self.on_measurement(self._done, 1 + len(self._asked), what)

    def _elsewhere(self, chips: int) -> bool:
        return chips > 0 and (self.executor is not None or min(self.workers, chips) > 1)

    def _memory(self) -> int:
        record = self.bench.plan.document.weights
        return int(FACTOR * record.bytes) if record is not None else 0

    def _sent(self, stack: ExitStack) -> SentBench:
        """The bench as other processes open it; a plan without a folder is written to one meanwhile."""
        plan = self.bench.plan
        check_sendable(self.source)
        if plan.folder is None:
            if self.executor is not None:
                raise InputError("a plan that others are to run must be in a folder that they can read: save it first")
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="tilewright-", ignore_cleanup_errors=True))
            written = copy.copy(plan.adapted(None))  # the plan itself stays without a folder
            folder = written.save(Path(made) / "plan")
            plan = written.adapted(plan.adapter)
        else:
            folder = plan.folder.absolute()
        fingerprint = self.bench.task.fingerprint()
        return SentBench(folder, plan.adapter, plan.sha256, self.source, fingerprint, self.bench.settings)
