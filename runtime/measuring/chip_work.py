"""Unit of work of an evaluation: one chip at all its times, a pure function of values that can be sent anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilewright.runtime.execution.session import Session
from tilewright.runtime.measuring.measurements import Measured
from tilewright.runtime.measuring.open_once import OpenOnce
from tilewright.runtime.measuring.resampling import figures_on_resamples
from tilewright.runtime.measuring.sent_plan import SentPlan
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks import Task
from tilewright.runtime.tasks.finding import AnyTask, make_task
from tilewright.targets.errors import InputError


@dataclass(frozen=True)
class Settings:
    """Settings of measurements. batch_size changes no figure, nor does layer_by_layer. resamples: of the examples."""

    seed: int
    drift_compensation: bool
    layer_by_layer: bool
    batch_size: int
    resamples: int


@dataclass(frozen=True)
class Bench:
    """Bench of this process: a task that is prepared for a plan, and the settings that it is measured by."""

    plan: Plan
    task: Task
    settings: Settings

    def opened(self) -> Bench:
        """Bench itself."""
        return self

    def digital(self) -> Measured:
        """Figure of the digital reference."""
        return self._measured(Session(self.plan, ideal=True).advance_to(0.0))

    def chip(self, repeat: int, times: tuple[float, ...]) -> Iterator[Measured]:
        """Figures of one chip, freshly programmed, at each of the times in seconds."""
        how = self.settings
        chip = Session(
            self.plan, how.seed, repeat=repeat, drift_compensation=how.drift_compensation,
            layer_by_layer=how.layer_by_layer,
        )  # fmt: skip
        for seconds in times:
            yield self._measured(chip.advance_to(seconds))

    def _measured(self, session: Session) -> Measured:
        """The task's figure of a session, and those on resamples of its examples."""
        task, how = self.task, self.settings
        if type(task).measure is not Task.measure:  # a measure of its own, which may have no predictions
            return Measured(task.metric.figure(task.measure(session, how.batch_size)))
        predictions = task.predict(session, how.batch_size)
        value = task.metric(predictions, task.labels)
        return Measured(value, figures_on_resamples(task.metric, predictions, task.labels, value, how.resamples))


@dataclass(frozen=True)
class TaskSource:
    """Task as it can be made again in another process: by name and data, or an object that is sent itself."""

    task: AnyTask
    data: Path | None
    limit: int | None
    options: Mapping[str, Any] | None

    def made(self, plan: Plan) -> Task:
        """The task, prepared for a plan."""
        return make_task(plan, self.task, self.data, self.limit, self.options)


@dataclass(frozen=True)
class SentBench:
    """Bench as small values: the plan, what the task is made of, and how it is measured.

    fingerprint: of the task's data, which must be the same where it is opened.
    """

    plan: SentPlan
    made_of: TaskSource
    fingerprint: str
    settings: Settings

    def opened(self) -> Bench:
        """Bench in this process, made once for all its chips. Raises ``InputError`` if plan or data are others here."""
        return _OPEN.get((self.plan, self.fingerprint, self.settings), self._made)

    def _made(self) -> Bench:
        plan = self.plan.opened()
        task = self.made_of.made(plan)
        if task.fingerprint() != self.fingerprint:
            raise InputError("the task's data are others than when measuring began")
        return Bench(plan, task, self.settings)


_OPEN = OpenOnce[Bench]()


@dataclass(frozen=True)
class ChipWork:
    """Work on one chip: its figures at times in seconds. repeat: which chip, of the settings' seed."""

    bench: Bench | SentBench
    repeat: int
    times: tuple[float, ...]

    def __str__(self) -> str:
        """Name in sentences."""
        return f"chip {self.repeat}"


def measured_chip(work: ChipWork) -> Iterator[Measured]:
    """Figures of one chip at its times, in whatever process; the same bits everywhere."""
    return work.bench.opened().chip(work.repeat, work.times)
