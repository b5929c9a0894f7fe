"""Accuracy over time: times x freshly programmed chips x a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from tilewright.runtime.execution.session import Session
from tilewright.runtime.measuring.kept_evaluations import keep_evaluation
from tilewright.runtime.measuring.measurements import MeasurementLog
from tilewright.runtime.measuring.spread import standard_error
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks import TASKS, Task
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_repeats, check_seed, check_whole
from tilewright.targets.times import parse_time

DEFAULT_TIMES = ("1s", "1h", "1d", "1w", "1mo")
OnMeasurement = Callable[[int, int, str], None]
"""Function called after each measurement with how many are done, how many there are, and what it was."""


@dataclass(frozen=True)
class TimePoint:
    """The metric at one time: values, one a chip, ``seconds`` after programming."""

    time: str
    seconds: float
    values: list[float]

    @property
    def mean(self) -> float:
        """Mean over chips."""
        return mean(self.values)

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean; None from one chip."""
        return standard_error(self.values)


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over time, as ``evaluate`` measures it.

    metric: the task's figure, in its own unit. examples: of the data. digital: the figure of the digital reference.
    points: the same on ``repeats`` chips of ``seed``, a point a time.
    """

    task: str
    metric: str
    examples: int
    seed: int
    repeats: int
    drift_compensation: bool
    digital: float
    points: list[TimePoint]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``, with means and standard errors."""
        content = asdict(self)
        content["points"] = [
            {**asdict(point), "mean": point.mean, "standard_error": point.standard_error} for point in self.points
        ]
        return content

    def __repr__(self) -> str:
        """A line for a terminal."""
        points = ", ".join(f"{point.time} {point.mean:.2f}" for point in self.points)
        return f"Evaluation({self.metric}: digital {self.digital:.2f}; {points}; {self.repeats} chip(s))"


def evaluate(
    plan: Plan,
    task: str = "stsb",
    data: str | Path | None = None,
    *,
    times: Sequence[str | float] = DEFAULT_TIMES,
    repeats: int = 5,
    seed: int = 0,
    limit: int | None = None,
    batch_size: int = 64,
    drift_compensation: bool = True,
    results: str | Path | None = None,
    layer_by_layer: bool = False,
    on_measurement: OnMeasurement | None = None,
) -> Evaluation:
    """Measure a task on the digital reference and on ``repeats`` freshly programmed chips at each time.

    task: "stsb". data: its labelled data, a file or a folder. times: since programming, in seconds or as text ("1h").
    seed: names the chips. limit: only the first so many examples. batch_size: samples at once, which change no result.
    drift_compensation: False leaves the drift as it is. results: a file of measurements, one JSON object a line, that
    is added to as they are made; those already in it, of the same plan, data and settings, are not made again. What is
    found is kept in the plan's folder, if it has one that can be written, for reports to show. layer_by_layer: see
    ``Session``. on_measurement: called after each measurement with (done, of how many, what).

    Raises ``InputError`` for an unknown task, data that do not fit, or numbers out of range.
    """
    plan.require_weights()
    check_repeats(repeats)
    check_whole("batch size", batch_size)
    check_seed(seed)
    seconds = {str(time): parse_time(time) for time in times}
    if not seconds:
        raise InputError(f"no times were given; write for example {','.join(DEFAULT_TIMES)}")
    prepared = make_task(plan, task, data, limit)
    assert data is not None  # the task would not have been made
    compensations = {tiles.target.drift_compensation for tiles in plan.document.chip.tiles}
    compensates = drift_compensation and bool(compensations - {"none"})
    settings = {
        "seed": seed,
        "task": task,
        "drift_compensation": compensates,
        "data": prepared.fingerprint(Path(data), limit),
    }
    log = MeasurementLog(Path(results) if results is not None else None, {"plan": plan.sha256, **settings})
    count = 1 + repeats * len(seconds)
    run = _Run(plan, prepared, seed, compensates, batch_size, layer_by_layer, log, on_measurement, count)
    digital = run.digital()
    values: dict[str, list[float]] = {time: [] for time in seconds}
    for repeat in range(repeats):
        for time, value in run.chip(repeat, seconds).items():
            values[time].append(value)
    points = [TimePoint(time, seconds[time], values[time]) for time in seconds]
    found = Evaluation(task, prepared.metric, prepared.size, seed, repeats, compensates, digital, points)
    keep_evaluation(plan, found.to_json())
    return found


def make_task(plan: Plan, task: str, data: str | Path | None, limit: int | None) -> Task:
    """The task of that name on these data, prepared for the plan. Raises ``InputError`` if there is none."""
    if task not in TASKS:
        raise InputError(f"there is no task {task!r}; {nearest(task, TASKS)}")
    if data is None:
        raise InputError(f"task {task!r} needs its data: a file or folder")
    if limit is not None:
        check_whole("limit", limit)
    return TASKS[task](plan, Path(data), limit)


@dataclass
class _Run:
    plan: Plan
    task: Task
    seed: int
    compensates: bool
    batch_size: int
    layer_by_layer: bool
    log: MeasurementLog
    on_measurement: OnMeasurement | None
    count: int
    done: int = 0

    def digital(self) -> float:
        value = self.log.measure(
            {"digital": True}, lambda: self.task.measure(Session(self.plan, ideal=True), self.batch_size)
        )
        self._report("digital")
        return value

    def chip(self, repeat: int, seconds: dict[str, float]) -> dict[str, float]:
        """Metric of one chip at all times; it is programmed only if something is left to measure."""
        session: Session | None = None
        values = {}
        for time, at in seconds.items():
            measurement = {"repeat": repeat, "seconds": at}
            if session is None and not self.log.knows(measurement):
                session = Session(
                    self.plan,
                    self.seed,
                    repeat=repeat,
                    drift_compensation=self.compensates,
                    layer_by_layer=self.layer_by_layer,
                )
            values[time] = self.log.measure(measurement, lambda at=at, s=session: self._at(s, at))  # type: ignore[misc]
            self._report(f"chip {repeat} at {time}")
        return values

    def _at(self, session: Session, seconds: float) -> float:
        return self.task.measure(session.advance_to(seconds), self.batch_size)

    def _report(self, what: str) -> None:
        self.done += 1
        if self.on_measurement:
            self.on_measurement(self.done, self.count, what)
