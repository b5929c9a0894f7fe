"""Charts as SVG, drawn from the report's figures; colours are the page's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from tilewright.compiler.engineering import NANO, engineering
from tilewright.compiler.report.lines import CallLine, CostLine

WIDTH = 720
LABEL = 300
"""Room for a bar's name."""
ROW = 22
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
    room = WIDTH - LABEL - 130
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


def component_chart(cost: CostLine) -> Markup:
    """Energy by component."""
    whole = cost.energy_nj or 1.0
    bars = [
        Bar(name, [(energy, COMPONENT_KINDS.get(name, "tile"))],
            f"{engineering(energy * NANO, 'J')} ({energy / whole:.0%})")
        for name, energy in cost.components.items()
    ]  # fmt: skip
    return bar_chart("Energy of a run by component", bars)


def amdahl_chart(cost: CostLine) -> Markup:
    """What is left of the energy, and attention's part of it, as tiles get cheaper."""
    bars = []
    for row in cost.with_cheaper_tiles:
        attention = row["attention_share"] * row["energy_nj"]
        text = f"{engineering(row['energy_nj'] * NANO, 'J')}, attention {row['attention_share']:.0%}"
        parts = [(row["energy_nj"] - attention, "tile"), (attention, "attention")]
        bars.append(Bar(f"tiles cheaper by {row['tiles_cheaper_by']:g}", parts, text))
    return bar_chart("Energy of a run if tiles got cheaper; the part in the second colour is attention", bars)


def accuracy_chart(evaluation: dict[str, Any]) -> Markup:
    """The metric over time with standard errors, and the digital reference as a line."""
    points, digital = evaluation["points"], float(evaluation["digital"])
    errors = [float(point["standard_error"] or 0.0) for point in points]
    values = [float(point["mean"]) for point in points]
    shown = [v for v in [digital, *(v - e for v, e in zip(values, errors, strict=True)), *values] if math.isfinite(v)]
    low, high = (min(shown), max(shown)) if shown else (0.0, 1.0)
    margin = 0.08 * (high - low) or 1.0
    low, high, height = low - margin, high + margin, 260
    logs = [math.log10(max(float(point["seconds"]), 1e-3)) for point in points]
    first, last = (min(logs), max(logs)) if logs else (0.0, 1.0)

    def x(log: float) -> float:
        return 90 + (WIDTH - 190) * ((log - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return 20 + (height - 60) * (high - value) / (high - low)

    marks = [Markup('<line x1="60" x2="{}" y1="{y:.1f}" y2="{y:.1f}" class="reference"/>'
                    '<text x="{}" y="{above:.1f}" text-anchor="end" class="figure">digital {value:.2f}</text>').format(
        WIDTH - 40, WIDTH - 44, y=y(digital), above=y(digital) - 6, value=digital)]  # fmt: skip
    drawn = [(x(log), value, error, point["time"]) for log, value, error, point in
             zip(logs, values, errors, points, strict=True) if math.isfinite(value)]  # fmt: skip
    path = " ".join(f"{'L' if place else 'M'}{px:.1f},{y(value):.1f}" for place, (px, value, _, _) in enumerate(drawn))
    marks.append(Markup('<path d="{}" class="curve"/>').format(path))
    for px, value, error, time in drawn:
        marks.append(Markup(
            '<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="error"/>'
            '<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="fill-tile"/>'
            '<text x="{x:.1f}" y="{under}" text-anchor="middle" class="label">{time}</text>'
            '<text x="{x:.1f}" y="{below:.1f}" text-anchor="middle" class="figure">{value:.2f}</text>'
        ).format(x=px, y=y(value), top=y(value + error), bottom=y(value - error), under=height - 8, time=time,
                 below=min(y(value - error) + 16, height - 24), value=value))  # fmt: skip
    title = (
        f"{evaluation['metric']} over time since programming, mean and standard error of {evaluation['repeats']} chips"
    )
    return _svg(title, height, Markup("").join(marks))


def network_chart(calls: Sequence[CallLine], kinds: dict[str, str], targets: dict[str, str]) -> Markup:
    """The calls of layers and products, each below those that it waits for."""
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
    """The end of a long name tells more than its beginning."""
    return text if len(text) <= longest else "…" + text[-(longest - 1) :]


def _svg(title: str, height: int, content: Markup, width: int = WIDTH) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}" preserveAspectRatio="xMinYMin meet">{}</svg>'
    ).format(width, height, width, escape(title), content)
