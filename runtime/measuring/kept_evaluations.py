"""Evaluations of a plan, kept in its folder so that reports can show them."""

from __future__ import annotations

import json
from typing import Any

from tilewright.runtime.measuring.measurements import is_measured, place_beside
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.storage.line_file import add_line, entries
from tilewright.targets.quantity import is_finite

FILE = "evaluations.jsonl"
LARGEST_FILE = 2**24  # bytes
SETTINGS = ("task", "examples", "seed", "repeats", "drift_compensation")
POINT = ("time", "seconds", "values", "mean", "standard_error")


def keep_evaluation(plan: Plan, evaluation: dict[str, Any]) -> None:
    """Add an evaluation to a plan's folder, in place of earlier ones with the same settings and times.

    Does nothing for a plan without a folder, or whose folder cannot be written.
    """
    path = place_beside(plan, FILE)
    if path is not None:
        add_line(path, {"plan": plan.sha256, **evaluation})


def kept_evaluations(plan: Plan) -> list[dict[str, Any]]:
    """Evaluations of this plan that ``tilewright evaluate`` kept, in the order they were made."""
    path = plan.folder / FILE if plan.folder is not None else None
    kept = [one for one in entries(path, LARGEST_FILE) if _is_evaluation(one)]
    sha256 = plan.sha256 if kept else ""
    latest: dict[str, dict[str, Any]] = {}
    for one in kept:
        if one["plan"] == sha256:
            latest.pop(_identity(one), None)
            latest[_identity(one)] = _shown(one)
    return list(latest.values())


def _identity(one: dict[str, Any]) -> str:
    times = [point["time"] for point in one["points"]]
    return json.dumps([times, *(one.get(key) for key in SETTINGS)])


def _shown(one: dict[str, Any]) -> dict[str, Any]:
    """The part of an evaluation that reports show, without what else a stranger may have put there."""
    points = [{key: point.get(key) for key in POINT} for point in one["points"]]
    return {**{key: one[key] for key in ("metric", *SETTINGS, "digital")}, "points": points}


def _is_evaluation(one: Any) -> bool:
    """True if an entry has what reports show: the file is of a stranger as the plan is."""
    if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("plan", "task", "metric")):
        return False
    if not isinstance(one.get("drift_compensation"), bool):
        return False
    numbers = [one.get("digital"), one.get("examples"), one.get("repeats"), one.get("seed")]
    points = one.get("points")
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        return False
    for point in points:
        if not isinstance(point.get("time"), str) or not isinstance(point.get("values"), list):
            return False
        if "standard_error" not in point:
            return False
        if not is_finite(point.get("seconds")):
            return False
        numbers += [point.get("mean"), *point["values"]]
        if point["standard_error"] is not None:
            numbers.append(point["standard_error"])
    return all(is_measured(number) for number in numbers)
