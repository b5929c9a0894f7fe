"""Figures of the digital reference and of chips: those that a log has, and the others as they are measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.chip_work import Bench, ChipWork, SentBench, TaskSource, measured_chip
from tilewright.runtime.measuring.measurements import Measured, MeasurementLog
from tilewright.runtime.measuring.sent_plan import plan_for, session_memory
from tilewright.runtime.measuring.workers import Workers, do_all

DIGITAL: dict[str, Any] = {"digital": True}
"""Name of the digital reference among measurements: it depends on no chip."""


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
        workers: int | Workers = 1,
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
        asked = [(repeat, time) for time, repeats in chips.items() for repeat in repeats]
        new = sorted((one for one in asked if one not in self._asked), key=lambda one: one[0])  # chip by chip
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
        names = {repeat: iter(times.items()) for repeat, times in left.items()}
        seconds_of = {repeat: tuple(times) for repeat, times in left.items()}
        for repeat, found in measured_chips(
            self.bench, self.source, seconds_of, workers=self.workers, executor=self.executor
        ):
            seconds, time = next(names[repeat])
            self.log.add(self._named(repeat, seconds), found)
            self._tell(f"chip {repeat} at {time}")

    @property
    def digital(self) -> Measured:
        """Figure of the digital reference, which was measured."""
        return self.log.kept(DIGITAL)

    def by_time(self, chips: Mapping[str, Sequence[int]]) -> dict[str, list[Measured]]:
        """Figures of these chips, which were measured, at each time."""
        return {
            time: [self.log.kept(self._named(repeat, self.times[time])) for repeat in repeats]
            for time, repeats in chips.items()
        }

    def _named(self, repeat: int, seconds: float) -> dict[str, Any]:
        how = self.bench.settings  # the digital reference depends on neither of the two
        return {
            "seed": how.seed, "drift_compensation": how.drift_compensation, "repeat": repeat, "seconds": seconds,
        }  # fmt: skip

    def _tell(self, what: str) -> None:
        self._done += 1
        if self.on_measurement:
            self.on_measurement(self._done, 1 + len(self._asked), what)


def measured_chips(
    bench: Bench,
    source: TaskSource,
    times: Mapping[int, tuple[float, ...]],
    *,
    workers: int | Workers = 1,
    executor: Executor | None = None,
) -> Iterator[tuple[int, Measured]]:
    """Figures of chips with their numbers, as they are made; of one chip in the order of its times.

    source: what the bench's task is made of, for other processes. times: in seconds, by the chip's number.
    """
    with plan_for(bench.plan, source, len(times), workers, executor) as plan:
        there = None if plan is None else SentBench(plan, source, bench.task.fingerprint(), bench.settings)
        works = [ChipWork(there or bench, repeat, seconds) for repeat, seconds in times.items()]
        memory = session_memory(bench.plan)
        for number, found in do_all(measured_chip, works, workers=workers, executor=executor, memory=memory):
            yield works[number].repeat, found
