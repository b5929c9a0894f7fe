"""Evaluations of a plan, kept in its folder so that reports can show them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StrictBool, ValidationError

from tilewright.runtime.measuring.iso_accuracy import Verdict
from tilewright.runtime.measuring.measurements import is_measured, kept_beside
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.storage.line_file import add_line, entries
from tilewright.targets.draws_version import VERSION
from tilewright.targets.paths import shown_path
from tilewright.targets.quantity import is_finite

FILE = "evaluations.jsonl"
LARGEST_FILE = 2**24  # bytes


def _where(allowed: Callable[[Any], bool]) -> AfterValidator:
    def check(value: Any) -> Any:
        if not allowed(value):
            raise ValueError("no such number is measured")
        return value

    return AfterValidator(check)


Measured = Annotated[Any, _where(is_measured)]


Share = Annotated[Any, _where(lambda value: is_finite(value) and 0 < value <= 1)]


class _Interval(BaseModel):
    low: Measured
    high: Measured


class _Estimate(BaseModel):
    mean: Measured
    standard_error: Measured | None = None
    over_examples: _Interval | None = None
    over_both: _Interval | None = None


class _Point(BaseModel):
    time: str
    seconds: Annotated[Any, _where(is_finite)]
    values: list[Measured]
    mean: Measured
    standard_error: Measured | None
    over_examples: _Interval | None = None
    over_both: _Interval | None = None
    difference: _Estimate | None = None
    normalised: _Estimate | None = None
    iso_accuracy: Verdict | None = None


class _Evaluation(BaseModel):
    """The part of a kept evaluation that reports show: the file is of a stranger as the plan is, who may have more."""

    plan: str
    draws: int = 1
    metric: str
    task: str
    chance: Measured | None = None
    larger_is_better: StrictBool = True
    data: str = ""
    examples: Measured
    seed: Measured
    repeats: Measured
    drift_compensation: StrictBool
    digital: Measured
    points: list[_Point]
    digital_over_examples: _Interval | None = None
    resamples: Measured = 0
    left_out: Measured = 0
    iso: Share = 0.99
    iso_figure: Measured | None = None
    adapter: str | None = None
    adapter_sha256: str | None = None
    notes: list[str] = Field(default_factory=list)
    first_chip: Measured = 0


def keep_evaluation(plan: Plan, evaluation: dict[str, Any]) -> str | None:
    """Add an evaluation to a plan's folder, in place of earlier ones with the same settings and times.

    Does nothing for a plan without a folder. Returns why nothing was kept in one that there is, half a sentence; None
    if nothing went wrong.
    """
    path, problem = kept_beside(plan, FILE)
    if path is not None:
        try:
            add_line(path, {"plan": plan.sha256, "draws": VERSION, **evaluation})
        except OSError as error:  # what was measured is shown in any case
            problem = f"{shown_path(path)} cannot be written: {error.strerror}"
    return problem


def kept_evaluations(plan: Plan) -> list[dict[str, Any]]:
    """Evaluations of this plan that ``tilewright evaluate`` kept, in the order they were made.

    Those with the plan's adapters are among them, and have these names, unless one adapter is chosen.
    """
    kept = []
    for entry in entries(plan.folder / FILE if plan.folder is not None else None, LARGEST_FILE):
        with suppress(ValidationError):
            kept.append(_Evaluation.model_validate(entry))
    plans = [plan] if plan.adapter is not None else [plan, *map(plan.adapted, plan.adapters)]
    adapters = {one.sha256: one.adapter for one in plans} if kept else {}
    latest: dict[str, dict[str, Any]] = {}
    for one in kept:
        if one.plan in adapters and one.draws == VERSION:
            settings = one.task, one.metric, one.data, one.examples, one.seed, one.repeats, one.drift_compensation
            identity = json.dumps([[point.time for point in one.points], one.plan, *settings, one.first_chip])
            latest.pop(identity, None)
            latest[identity] = one.model_dump(exclude={"plan", "draws"}, exclude_unset=True)
            if adapters[one.plan] is not None:  # by the name that the plan has for it now
                latest[identity]["adapter"] = adapters[one.plan]
    return list(latest.values())
