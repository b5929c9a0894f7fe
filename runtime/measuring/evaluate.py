"""Accuracy over time: times x freshly programmed chips x a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import count
from pathlib import Path
from statistics import mean
from typing import Any

from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.execution.session import Session
from tilewright.runtime.measuring.kept_evaluations import keep_evaluation
from tilewright.runtime.measuring.measurements import MeasurementLog
from tilewright.runtime.measuring.spread import standard_error
from tilewright.runtime.plan.plan import Plan, check_is_plan
from tilewright.runtime.tasks import Metric, Task
from tilewright.runtime.tasks.finding import AnyTask, make_task
from tilewright.runtime.tasks.given import GivenTask, Readout
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_repeats, check_seed, check_whole
from tilewright.targets.times import parse_time

DEFAULT_TASK = "stsb"
"""Task of data for which none is named."""
DEFAULT_TIMES = ("1s", "1h", "1d", "1w", "1mo")


@dataclass(frozen=True)
class TimePoint:
    """The metric at one time: values, one a chip, ``seconds`` after programming.

    time, values: as asked for, and the figure of each chip. seconds: after programming.
    """

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

    task: its name. seed, repeats: chips. drift_compensation: True if drift was compensated. chance: figure of
    predictions that know nothing of the inputs; None if nobody knows. larger_is_better: False for an error. data: hash
    of the examples and the metric.
    """

    task: str
    metric: str
    chance: float | None
    larger_is_better: bool
    data: str
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
    task: AnyTask | None = None,
    data: str | Path | None = None,
    *,
    task_options: Mapping[str, Any] | None = None,
    metric: Metric | Callable[[Any, Any], float] | None = None,
    inputs: Any = None,
    labels: Any = None,
    readout: Readout | None = None,
    times: Sequence[str | float] = DEFAULT_TIMES,
    repeats: int = 5,
    seed: int = 0,
    limit: int | None = None,
    batch_size: int = 64,
    drift_compensation: bool = True,
    results: str | Path | None = None,
    layer_by_layer: bool = False,
    on_measurement: OnProgress | None = None,
) -> Evaluation:
    """Measure a task on the digital reference and on ``repeats`` freshly programmed chips at each time.

    task: a task's name such as "glue/sst2" (docs/tasks.md lists them), FILE.py:CLASS, or a ``Task`` of one's own;
    stsb if None. data: its labelled data, a file or a folder. task_options: the task's own, by name, such as
    ``{"stride": 512}`` (docs/tasks.md lists them). In place of all three: metric, a ``Metric`` or a function
    of predictions and labels; inputs, arrays by input name with samples along the first dimension, or a
    ``DataLoader`` or ``datasets.Dataset`` that gives inputs and labels; labels, one an example; readout, a function
    from a batch's outputs by name to its predictions, the first output if None. times: since programming, in
    seconds or as text ("1h"). seed: names the chips. limit: only the first so many examples. batch_size: samples at
    once, which change no result. drift_compensation: False leaves the drift as it is. results: a file of
    measurements, one JSON object a line, that is added to as they are made; those already in it, of the same plan,
    data and settings, are not made again. What is found is kept in the plan's folder, if it has one that can be
    written, for reports to show. layer_by_layer: see ``Session``. on_measurement: called after each measurement
    with (done, of how many, what).

    Raises ``InputError`` for an unknown task, data that do not fit, or numbers out of range.
    """
    check_is_plan(plan)
    plan.require_weights()
    check_repeats(repeats)
    check_whole("batch size", batch_size)
    check_seed(seed)
    seconds = {str(time): parse_time(time) for time in times}
    if not seconds:
        raise InputError(f"no times were given; write for example {','.join(DEFAULT_TIMES)}")
    if task is None and metric is None:
        task = DEFAULT_TASK
    prepared = _prepared(plan, task, data, limit, task_options, metric, inputs, labels, readout)
    name = task if isinstance(task, str) else type(prepared).__name__
    compensations = {tiles.target.drift_compensation for tiles in plan.document.chip.tiles}
    compensates = drift_compensation and bool(compensations - {"none"})
    fingerprint = prepared.fingerprint()
    settings = {"plan": plan.sha256, "task": name, "data": fingerprint}
    log = MeasurementLog(Path(results) if results is not None else None, settings)
    chips = {"seed": seed, "drift_compensation": compensates}  # the digital reference does not depend on them
    done = count(1)

    def measure(what: str, measurement: dict[str, Any], chip: Callable[[], Session], at: float) -> float:
        value = log.measure(measurement, lambda: prepared.measure(chip().advance_to(at), batch_size))
        if on_measurement:
            on_measurement(next(done), 1 + repeats * len(seconds), what)
        return value

    digital = measure("digital", {"digital": True}, partial(Session, plan, ideal=True), 0.0)
    values: dict[str, list[float]] = {time: [] for time in seconds}
    program = partial(Session, plan, seed, drift_compensation=compensates, layer_by_layer=layer_by_layer)
    for repeat in range(repeats):
        chip = cache(partial(program, repeat=repeat))  # programmed only if something is left to measure
        for time, at in seconds.items():
            values[time].append(
                measure(f"chip {repeat} at {time}", {**chips, "repeat": repeat, "seconds": at}, chip, at)
            )
    points = [TimePoint(time, seconds[time], values[time]) for time in seconds]
    how = prepared.metric
    found = Evaluation(
        name, how.name, how.chance, how.larger_is_better, fingerprint, prepared.size, seed, repeats, compensates,
        digital, points,
    )  # fmt: skip
    keep_evaluation(plan, found.to_json())
    return found


def _prepared(
    plan: Plan,
    task: AnyTask | None,
    data: str | Path | None,
    limit: int | None,
    task_options: Mapping[str, Any] | None,
    metric: Metric | Callable[[Any, Any], float] | None,
    inputs: Any,
    labels: Any,
    readout: Readout | None,
) -> Task:
    if metric is None:
        if inputs is not None or labels is not None:
            raise InputError("inputs and labels need a metric")
        if readout is not None:
            raise InputError("readout is of inputs and labels that are given; a task has its own")
        assert task is not None
        return make_task(plan, task, data, limit, task_options)
    if task is not None or data is not None or limit is not None or task_options:
        raise InputError(
            "a metric is measured on inputs and labels; task, data and limit are something else, and so is task_options"
        )
    if inputs is None:
        raise InputError("a metric needs inputs, and their labels")
    return GivenTask(plan, metric, inputs, labels, readout)
