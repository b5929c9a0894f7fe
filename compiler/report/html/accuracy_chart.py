"""Chart of accuracy over time: each mean with its error bars whole, the digital reference and iso-accuracy as lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from markupsafe import Markup

from tilewright.compiler.report.html.charts import LETTER, WIDTH, svg

PLOT = (70, WIDTH - 130, 20, 210)
"""Left, right, top and bottom of the plot; figures stand beside and below it, where no line runs."""
LINE = 14
"""Height of a line of text."""


def accuracy_chart(evaluation: dict[str, Any]) -> Markup:
    """Chart of the metric over time.

    A thick bar is the standard error over chips, a thin one with ends the 95 % interval over examples and chips, where
    it is known.
    """
    left, right, top, bottom = PLOT
    points = [point for point in evaluation["points"] if math.isfinite(float(point["mean"]))]
    references = dict(_references(evaluation))
    ends = [end for point in points for bar in (_error(point), _interval(point)) for end in bar]
    shown = [*references.values(), *ends]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    margin = 0.08 * (high - low) or 1.0
    low, high = low - margin, high + margin
    logs = [math.log10(max(float(point["seconds"]), 1e-3)) for point in points]
    first, last = (min(logs), max(logs)) if logs else (0.0, 1.0)
    places = [left + (right - left) * ((log - first) / (last - first) if last > first else 0.5) for log in logs]

    def y(value: float) -> float:
        return top + (bottom - top) * (high - value) / (high - low)

    marks = list(_reference_lines(references, y))
    path = " ".join(
        f"{'L' if place else 'M'}{x:.1f},{y(float(point['mean'])):.1f}"
        for place, (x, point) in enumerate(zip(places, points, strict=True))
    )
    marks.append(Markup('<path d="{}" class="curve"/>').format(path))
    for x, point in zip(places, points, strict=True):
        marks += _bars(x, point, y)
    rows = _rows_without_overlap(places, 6 * LETTER)
    for x, row, point in zip(places, rows, points, strict=True):
        marks.append(Markup(
            '<text x="{x:.1f}" y="{y}" text-anchor="middle" class="label">{time}</text>'
            '<text x="{x:.1f}" y="{below}" text-anchor="middle" class="figure">{value:.2f}</text>'
        ).format(x=x, y=bottom + 22 + 36 * row, below=bottom + 38 + 36 * row, time=point["time"][:8],
                 value=float(point["mean"])))  # fmt: skip
    title = (
        f"{evaluation['metric']} over time since programming, mean and standard error of {evaluation['repeats']} "
        "chips, 95 % interval over examples and chips"
    )
    return svg(title, bottom + 48 + 36 * max(rows, default=0), Markup("").join(marks))


def _references(evaluation: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Figures that are lines, by their names."""
    digital, iso = float(evaluation["digital"]), evaluation.get("iso_figure")
    if math.isfinite(digital):
        yield "digital", digital
    if iso is not None and math.isfinite(float(iso)):
        yield f"A* {100 * evaluation.get('iso', 0.99):.4g}%", float(iso)


def _reference_lines(references: dict[str, float], y: Callable[[float], float]) -> Iterator[Markup]:
    """Lines with names beside them; a name makes room for the one before it."""
    left, right, *_ = PLOT
    taken: list[float] = []
    for name, value in references.items():
        middle = y(value) + 4
        if taken and abs(middle - taken[0]) < LINE:
            middle = taken[0] + math.copysign(LINE, middle - taken[0])
        taken.append(middle)
        yield Markup(
            '<line x1="{}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="{kind}"/>'
            '<text x="{beside}" y="{middle:.1f}" class="figure">{name} {value:.2f}</text>'
        ).format(left - 20, right=right + 4, y=y(value), beside=right + 10, middle=middle, name=name, value=value,
                 kind="reference" if name == "digital" else "iso")  # fmt: skip


def _bars(x: float, point: dict[str, Any], y: Callable[[float], float]) -> Iterator[Markup]:
    """Both error bars, and the mean upon them."""
    low, high = map(y, _interval(point))
    below, above = map(y, _error(point))
    lines = [(x, x, low, high, "error"), (x, x, below, above, "error chips")]
    if low != high:
        lines += [(x - 5, x + 5, end, end, "error") for end in (low, high)]
    for x1, x2, y1, y2, kind in lines:
        yield Markup('<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}" class="{}"/>').format(x1, x2, y1, y2, kind)
    yield Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4" class="fill-tile"/>').format(x, y(float(point["mean"])))


def _error(point: dict[str, Any]) -> tuple[float, float]:
    """Ends of the standard error; of no width where one chip gave none."""
    mean, error = float(point["mean"]), point["standard_error"]
    error = float(error) if error is not None and math.isfinite(error) else 0.0
    return mean - error, mean + error


def _interval(point: dict[str, Any]) -> tuple[float, float]:
    """Ends of the interval over examples and chips; the mean where there is none."""
    found, mean = point.get("over_both"), float(point["mean"])
    ends = (float(found["low"]), float(found["high"])) if found else (mean, mean)
    return ends if all(map(math.isfinite, ends)) else (mean, mean)


def _rows_without_overlap(places: Sequence[float], width: float) -> list[int]:
    """Row for each label of that width, centred at these places, so that none lies on another."""
    ends: list[float] = []
    """Right end of what is taken of each row."""
    rows = []
    for place in places:
        row = next((row for row, end in enumerate(ends) if place - width / 2 >= end), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = place + width / 2
        rows.append(row)
    return rows
