"""Evaluations of a plan, kept in its folder so that reports can show them."""

from __future__ import annotations

import json
import os
from typing import Any

from tilewright.runtime.plan import Plan
from tilewright.runtime.plan_io import plan_sha256

FILE = "evaluations.jsonl"
LARGEST_FILE = 2**24  # bytes
SETTINGS = ("task", "examples", "seed", "repeats", "drift_compensation")


def keep_evaluation(plan: Plan, evaluation: dict[str, Any]) -> None:
    """Add an evaluation; one with the same settings and times takes its place.

    Nothing is kept of a plan without a folder, or whose folder cannot be written.
    """
    folder = plan.folder
    if folder is None or not folder.is_dir() or not os.access(folder, os.W_OK):
        return
    sha256 = plan_sha256(plan)
    others = [one for one in _read(plan) if _identity(one) != _identity({**evaluation, "plan": sha256})]
    lines = [json.dumps(one, ensure_ascii=False) + "\n" for one in [*others, {"plan": sha256, **evaluation}]]
    beside = folder / f".{FILE}"
    beside.write_text("".join(lines), encoding="utf-8")
    beside.replace(folder / FILE)


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
    if path is None or not path.is_file() or path.stat().st_size > LARGEST_FILE:
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            one = json.loads(line)
        except ValueError:
            continue
        if _is_evaluation(one):
            found.append(one)
    return found


def _is_evaluation(one: Any) -> bool:
    if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("plan", "task", "metric")):
        return False
    numbers = [one.get("digital"), one.get("examples"), one.get("repeats"), one.get("seed")]
    points = one.get("points")
    if not isinstance(points, list) or not all(isinstance(point, dict) for point in points):
        return False
    for point in points:
        if not isinstance(point.get("time"), str) or not isinstance(point.get("values"), list):
            return False
        numbers += [point.get("seconds"), point.get("mean"), *point["values"]]
        if point.get("standard_error") is not None:
            numbers.append(point["standard_error"])
    return all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers)
