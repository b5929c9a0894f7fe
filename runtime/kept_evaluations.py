"""Evaluations of a plan, kept in its folder so that reports can show them."""

from __future__ import annotations

import json
from typing import Any

from tilewright.runtime.atomic_file import write_whole
from tilewright.runtime.measurements import json_lines, place_beside
from tilewright.runtime.plan import Plan
from tilewright.runtime.plan_io import plan_sha256
from tilewright.targets.quantity import is_finite

FILE = "evaluations.jsonl"
LARGEST_FILE = 2**24  # bytes
SETTINGS = ("task", "examples", "seed", "repeats", "drift_compensation")


def keep_evaluation(plan: Plan, evaluation: dict[str, Any]) -> None:
    """Add an evaluation; one with the same settings and times takes its place.

    Nothing is kept of a plan without a folder, or whose folder cannot be written.
    """
    path = place_beside(plan, FILE)
    if path is None:
        return
    new = {"plan": plan_sha256(plan), **evaluation}
    lines = [one for one in _read(plan) if _identity(one) != _identity(new)] + [new]
    write_whole(path, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in lines).encode())


def kept_evaluations(plan: Plan) -> list[dict[str, Any]]:
    """What ``tilewright evaluate`` found of this plan, in the order it was found."""
    kept = _read(plan)
    sha256 = plan_sha256(plan) if kept else ""
    return [{key: value for key, value in one.items() if key != "plan"} for one in kept if one["plan"] == sha256]


def _identity(one: dict[str, Any]) -> str:
    times = [point["time"] for point in one["points"]]
    return json.dumps([one["plan"], times, *(one.get(key) for key in SETTINGS)])


def _read(plan: Plan) -> list[dict[str, Any]]:
    """The entries that are whole: the file is of a stranger as the plan is."""
    path = plan.folder / FILE if plan.folder is not None else None
    return [one for one in json_lines(path, LARGEST_FILE) if _is_evaluation(one)]


def _is_evaluation(one: Any) -> bool:
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
        numbers += [point.get("seconds"), point.get("mean"), *point["values"]]
        if point["standard_error"] is not None:
            numbers.append(point["standard_error"])
    return all(map(is_finite, numbers))
