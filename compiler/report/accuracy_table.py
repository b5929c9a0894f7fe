"""Table of accuracy over time: a row a time, the digital reference first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tilewright.compiler.engineering import spread
from tilewright.compiler.report.plain_console import PlainTable

Cells = list[str]
HEADINGS = ("time", "mean ± s.e.", "95 % over examples", "and over chips", "A* (95 %)")
"""Headings of the columns; the verdict on iso-accuracy follows."""


def accuracy_headings(evaluation: dict[str, Any]) -> Cells:
    """Headings of the columns of an evaluation's table."""
    return [*HEADINGS, f"A* ≥ {evaluation.get('iso', 0.99):.4g}"]


def accuracy_rows(evaluation: dict[str, Any]) -> list[Cells]:
    """Rows of an evaluation's plain values, as of ``Evaluation.to_json``; what it does not know is empty."""
    digital = ["digital", f"{evaluation['digital']:.2f}", interval_text(evaluation.get("digital_over_examples"))]
    return [[*digital, "", "", ""], *map(_row, evaluation["points"])]


def accuracy_table(evaluation: dict[str, Any], title: str) -> PlainTable:
    """Table for a terminal. In a narrow one intervals take two lines; nothing is cut."""
    time, mean, *others = accuracy_headings(evaluation)
    table = PlainTable([time], [mean], title=title)
    for heading in others:
        table.add_column(heading, justify="right", overflow="fold")
    for row in accuracy_rows(evaluation):
        table.add_row(*row)
    return table


def _row(point: dict[str, Any]) -> Cells:
    return [
        point["time"],
        f"{point['mean']:.2f}{spread(point['standard_error'])}",
        interval_text(point.get("over_examples")),
        interval_text(point.get("over_both")),
        normalised_text(point),
        point.get("iso_accuracy") or "",
    ]


def normalised_text(point: dict[str, Any]) -> str:
    """A* at a time with its interval over examples and chips: 98.2% (97.1% to 99.3%); empty where it is not known."""
    found = point.get("normalised")
    if not found:
        return ""
    interval = interval_text(found.get("over_both"), lambda value: f"{value:.1%}")
    return f"{found['mean']:.1%}" + (f" ({interval})" if interval else "")


def uncertainty_text(evaluation: dict[str, Any], point: dict[str, Any]) -> str:
    """Interval and A* at a time, as they stand behind a mean; empty where nothing is known of them."""
    interval, normalised, verdict = (
        interval_text(point.get("over_both")),
        normalised_text(point),
        point.get("iso_accuracy"),
    )
    parts = [f"95 % {interval}"] if interval else []
    parts += [f"A* {normalised}"] if normalised else []
    parts += [f"A* ≥ {evaluation.get('iso', 0.99):.4g} {verdict}"] if verdict else []
    return "; ".join(parts)


def interval_text(interval: dict[str, float] | None, written: Callable[[float], str] = "{:.2f}".format) -> str:
    """Interval as text: 77.10 to 83.62; empty where there is none."""
    if not interval or not all(map(math.isfinite, (interval["low"], interval["high"]))):
        return ""
    return f"{written(interval['low'])} to {written(interval['high'])}"
