"""Charts as SVG, drawn from the report's figures; colours are the page's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from tilewright.compiler.cost import CostEstimate
from tilewright.compiler.engineering import engineering, share
from tilewright.compiler.report.report import CallLine

WIDTH = 720
LABEL = 300
"""Width for a bar's name."""
ROW = 22
LETTER = 7.5
"""Width of a letter of a figure, in the widest of usual fonts."""
COMPONENT_KINDS = {"attention": "attention", "digital_layers": "digital"}
"""The colours of components; the others are tiles'."""


@dataclass(frozen=True)
class Bar:
    """One bar of parts that follow one another: (value, kind); a kind is a class of the page's colours."""

    label: str
    parts: Sequence[tuple[float, str]]
    text: str


def bar_chart(title: str, bars: Sequence[Bar]) -> Markup:
    """Horizontal bars, each with its figure as text."""
    largest = max((sum(value for value, _ in bar.parts) for bar in bars), default=0.0) or 1.0
    room = WIDTH - LABEL - 12 - LETTER * max((len(bar.text) for bar in bars), default=0)
    rows: list[Markup] = []
    for number, bar in enumerate(bars):
        y, x = number * ROW, float(LABEL)
        rows.append(Markup('<text x="{}" y="{}" text-anchor="end" class="label">{}</text>').format(
            LABEL - 8, y + 15, _shortened(bar.label)))  # fmt: skip
        for value, kind in bar.parts:
            width = max(0.0, room * value / largest)
            rows.append(Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="16" class="fill-{}"/>').format(
                x, y + 3, width, kind))  # fmt: skip
            x += width
        rows.append(Markup('<text x="{:.1f}" y="{}" class="figure">{}</text>').format(x + 6, y + 15, bar.text))
    return _svg(title, len(bars) * ROW + 4, Markup("").join(rows))


def component_chart(cost: CostEstimate) -> Markup:
    """Chart of the energy by component."""
    kinds = {name: COMPONENT_KINDS.get(name, "tile") for name in cost.components}
    bars = [energy_bar(name, energy, kinds[name], cost) for name, energy in cost.components.items()]
    return bar_chart("Energy of a run by component", bars)


def energy_bar(label: str, energy: float, kind: str, cost: CostEstimate) -> Bar:
    """A bar of a part of a run's energy, in nJ."""
    part = share(energy / cost.energy_nj if cost.energy_nj else 0.0)
    return Bar(label, [(energy, kind)], f"{engineering(energy, 'nJ')} ({part})")


def amdahl_chart(cost: CostEstimate) -> Markup:
    """Chart of the energy that is left, and attention's part of it, as tiles get cheaper."""
    bars = []
    for row in cost.with_cheaper_tiles():
        attention = row["attention_share"] * row["energy_nj"]
        text = f"{engineering(row['energy_nj'], 'nJ')}, attention {share(row['attention_share'])}"
        parts = [(row["energy_nj"] - attention, "tile"), (attention, "attention")]
        bars.append(Bar(f"tiles cheaper by {row['tiles_cheaper_by']:g}", parts, text))
    return bar_chart("Energy of a run if tiles got cheaper; the part in the second colour is attention", bars)


PLOT = (70, WIDTH - 130, 20, 210)
"""Left, right, top and bottom of the accuracy over time; figures stand beside and below it, where no line runs."""


def accuracy_chart(evaluation: dict[str, Any]) -> Markup:
    """Chart of the metric over time with standard errors, and the digital reference as a line."""
    left, right, top, bottom = PLOT
    points = [point for point in evaluation["points"] if math.isfinite(float(point["mean"]))]
    digital = float(evaluation["digital"])
    values = [float(point["mean"]) for point in points]
    errors = [_finite(point["standard_error"]) for point in points]
    ends = [value + side for value, error in zip(values, errors, strict=True) for side in (-error, error)]
    shown = [value for value in [digital, *ends] if math.isfinite(value)]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    margin = 0.08 * (high - low) or 1.0
    low, high = low - margin, high + margin
    logs = [math.log10(max(float(point["seconds"]), 1e-3)) for point in points]
    first, last = (min(logs), max(logs)) if logs else (0.0, 1.0)

    def x(log: float) -> float:
        return left + (right - left) * ((log - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return top + (bottom - top) * (high - value) / (high - low)

    marks = []
    if math.isfinite(digital):
        marks.append(Markup(
            '<line x1="{}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="reference"/>'
            '<text x="{beside}" y="{middle:.1f}" class="figure">digital {value:.2f}</text>'
        ).format(left - 20, right=right + 4, y=y(digital), beside=right + 10, middle=y(digital) + 4,
                 value=digital))  # fmt: skip
    places = [x(log) for log in logs]
    path = " ".join(
        f"{'L' if place else 'M'}{px:.1f},{y(value):.1f}"
        for place, (px, value) in enumerate(zip(places, values, strict=True))
    )
    marks.append(Markup('<path d="{}" class="curve"/>').format(path))
    for px, value, error in zip(places, values, errors, strict=True):
        marks.append(Markup(
            '<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="error"/>'
            '<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="fill-tile"/>'
        ).format(x=px, y=y(value), top=y(value + error), bottom=y(value - error)))  # fmt: skip
    rows = _rows_without_overlap(places, 6 * LETTER)
    for px, row, value, point in zip(places, rows, values, points, strict=True):
        marks.append(Markup(
            '<text x="{x:.1f}" y="{y}" text-anchor="middle" class="label">{time}</text>'
            '<text x="{x:.1f}" y="{below}" text-anchor="middle" class="figure">{value:.2f}</text>'
        ).format(x=px, y=bottom + 22 + 36 * row, below=bottom + 38 + 36 * row, time=point["time"][:8],
                 value=value))  # fmt: skip
    title = (
        f"{evaluation['metric']} over time since programming, mean and standard error of {evaluation['repeats']} chips"
    )
    return _svg(title, bottom + 48 + 36 * max(rows, default=0), Markup("").join(marks))


def _finite(error: float | None) -> float:
    """A standard error; zero where one chip gave none."""
    return float(error) if error is not None and math.isfinite(error) else 0.0


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


def network_chart(calls: Sequence[CallLine], kinds: dict[str, str], targets: dict[str, str]) -> Markup:
    """Chart of the calls of layers and products, each below those that it waits for."""
    depth: dict[str, int] = {}
    for call in calls:
        depth[call.node] = 1 + max((depth[node] for node in call.before), default=-1)
    rows: dict[int, list[CallLine]] = {}
    for call in calls:
        rows.setdefault(depth[call.node], []).append(call)
    widest = max((len(row) for row in rows.values()), default=1)
    box = 330 if widest <= 2 else 220
    places = {
        call.node: (10 + n * (box + 20), level * 44 + 6) for level, row in rows.items() for n, call in enumerate(row)
    }
    marks = []
    for call in calls:
        x, y = places[call.node]
        for node in call.before:
            px, py = places[node]
            marks.append(Markup('<path d="M{},{} C{},{} {},{} {},{}" class="edge"/>').format(
                px + box / 2, py + 28, px + box / 2, py + 40, x + box / 2, y - 12, x + box / 2, y))  # fmt: skip
    for call in calls:
        x, y = places[call.node]
        use = f" (use {call.use + 1})" if call.use else ""
        marks.append(Markup(
            '<g><title>{full}, {target}</title><rect x="{x}" y="{y}" width="{box}" height="28" rx="5" class="node '
            'fill-{kind}"/><text x="{tx}" y="{ty}" text-anchor="middle" class="on-node">{name}</text></g>'
        ).format(full=call.name + use, target=targets.get(call.name, ""), x=x, y=y, box=box,
                 kind=kinds.get(call.name, "tile"), tx=x + box / 2, ty=y + 18,
                 name=_shortened(call.name + use, box // 8)))  # fmt: skip
    width = max(WIDTH, widest * (box + 20))
    return _svg("The network: layers and products of activations", len(rows) * 44 + 8, Markup("").join(marks), width)


def _shortened(text: str, longest: int = 42) -> str:
    """A name; only the end of a long one, which tells more than its beginning."""
    return text if len(text) <= longest else "…" + text[-(longest - 1) :]


def _svg(title: str, height: int, content: Markup, width: int = WIDTH) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}" preserveAspectRatio="xMinYMin meet">{}</svg>'
    ).format(width, height, width, escape(title), content)
