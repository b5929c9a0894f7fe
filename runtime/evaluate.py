"""Accuracy over time: times x freshly programmed chips x a data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from tilewright.runtime.plan import Plan
from tilewright.runtime.plan_io import file_sha256, readable_json
from tilewright.runtime.session import Session
from tilewright.runtime.spread import standard_error
from tilewright.runtime.tasks import TASKS, Task
from tilewright.runtime.times import parse_time
from tilewright.targets.errors import InputError, nearest

DEFAULT_TIMES = ("1s", "1h", "1d", "1w", "1mo")
OnMeasurement = Callable[[int, int, str], None]
"""Called after each measurement with how many are done, how many there are, and what it was."""


@dataclass(frozen=True)
class TimePoint:
    """The metric at one time over all repeats."""

    time: str
    seconds: float
    values: list[float]

    @property
    def mean(self) -> float:
        """Mean over repeats."""
        return mean(self.values)

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean; None from a single repeat."""
        return standard_error(self.values)


@dataclass(frozen=True)
class Evaluation:
    """What ``evaluate`` found."""

    task: str
    metric: str
    examples: int
    seed: int
    repeats: int
    drift_compensation: bool
    digital: float
    points: list[TimePoint]

    def to_json(self) -> dict[str, Any]:
        """Everything, with means and standard errors."""
        content = asdict(self)
        content["points"] = [
            {**asdict(point), "mean": point.mean, "standard_error": point.standard_error} for point in self.points
        ]
        return content


def evaluate(
    plan: Plan,
    task: str,
    data: str | Path,
    *,
    times: Sequence[str | float] = DEFAULT_TIMES,
    repeats: int = 1,
    seed: int = 0,
    limit: int | None = None,
    batch_size: int = 64,
    drift_compensation: bool = True,
    results: str | Path | None = None,
    on_measurement: OnMeasurement | None = None,
) -> Evaluation:
    """Measure a task on the digital reference and on ``repeats`` chips at each time.

    limit: only the first so many examples. results: a file of measurements, one JSON object a line, that is added to
    as they are made; those already in it, of the same plan, data and settings, are not made again.
    Raises ``InputError`` for an unknown task, data that do not fit, or numbers out of range.
    """
    if task not in TASKS:
        raise InputError(f"there is no task {task!r}; {nearest(task, TASKS)}")
    for name, number in (("repeats", repeats), ("batch size", batch_size), ("limit", limit)):
        if number is not None and number < 1:
            raise InputError(f"{name} is {number}, allowed is 1 or more")
    seconds = {str(time): parse_time(time) for time in times}
    if not seconds:
        raise InputError(f"no times were given; write for example {','.join(DEFAULT_TIMES)}")
    prepared = TASKS[task](plan, Path(data), limit)
    compensations = {tiles.target.drift_compensation for tiles in plan.document.chip.tiles}
    compensates = drift_compensation and bool(compensations - {"none"})
    settings = {"seed": seed, "task": task, "drift_compensation": compensates, "data": _data_sha256(Path(data), limit)}
    log = MeasurementLog(Path(results) if results is not None else None, {"plan": plan_sha256(plan), **settings})
    run = _Run(plan, prepared, seed, compensates, batch_size, log, on_measurement, 1 + repeats * len(seconds))
    digital = run.digital()
    values: dict[str, list[float]] = {time: [] for time in seconds}
    for repeat in range(repeats):
        for time, value in run.chip(repeat, seconds).items():
            values[time].append(value)
    points = [TimePoint(time, seconds[time], values[time]) for time in seconds]
    return Evaluation(task, prepared.metric, prepared.size, seed, repeats, compensates, digital, points)


class MeasurementLog:
    """Measurements by their name, kept in a file so that a run can be resumed."""

    def __init__(self, path: Path | None, settings: dict[str, Any]) -> None:
        """Raises ``InputError`` if the file cannot hold measurements."""
        self.path, self.settings = path, settings
        self._known: dict[str, float] = {}
        if path is None:
            return
        if not path.absolute().parent.is_dir() or path.is_dir():
            raise InputError(f"cannot write measurements to {path}: its folder does not exist or it is a folder itself")
        if path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            try:
                entry = json.loads(line)
                name, value = self._name(entry), float(entry.pop("value"))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if number == len(lines) > 1 and not line.endswith("\n"):  # a run was cut off while it wrote this
                    path.write_text("".join(lines[:-1]), encoding="utf-8")  # what is added must not join it
                    return
                raise InputError(f"{path} line {number} is not a measurement of tilewright evaluate") from error
            self._known[name] = value

    @staticmethod
    def _name(entry: dict[str, Any]) -> str:
        return json.dumps({key: entry[key] for key in sorted(entry) if key != "value"})

    def measure(self, measurement: dict[str, Any], make: Callable[[], float]) -> float:
        """The value of that measurement, made now if it is not known."""
        entry = {**self.settings, **measurement}
        name = self._name(entry)
        if name not in self._known:
            self._known[name] = make()
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**entry, "value": self._known[name]}) + "\n")
        return self._known[name]

    def knows(self, measurement: dict[str, Any]) -> bool:
        """Whether the measurement was made before."""
        return self._name({**self.settings, **measurement}) in self._known


@dataclass
class _Run:
    plan: Plan
    task: Task
    seed: int
    compensates: bool
    batch_size: int
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
        """One chip at all times; it is programmed only if something is left to measure."""
        session: Session | None = None
        values = {}
        for time, at in seconds.items():
            measurement = {"repeat": repeat, "seconds": at}
            if session is None and not self.log.knows(measurement):
                session = Session(self.plan, self.seed, repeat=repeat, drift_compensation=self.compensates)
            values[time] = self.log.measure(measurement, lambda at=at, s=session: self._at(s, at))  # type: ignore[misc]
            self._report(f"chip {repeat} at {time}")
        return values

    def _at(self, session: Session, seconds: float) -> float:
        return self.task.measure(session.advance_to(seconds), self.batch_size)

    def _report(self, what: str) -> None:
        self.done += 1
        if self.on_measurement:
            self.on_measurement(self.done, self.count, what)


def plan_sha256(plan: Plan) -> str:
    """What a plan does, as a hash: its document without the version that wrote it, which names its weights' hash."""
    content = plan.document.model_dump(mode="json", exclude={"tilewright_version"})
    return hashlib.sha256(readable_json(content).encode()).hexdigest()


def _data_sha256(data: Path, limit: int | None) -> str:
    path = data / "dev.tsv" if data.is_dir() else data
    return f"{file_sha256(path)}:{limit or 'all'}"
