"""Charts as SVG, drawn from the report's figures; colours are the page's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
COMPONENT_KINDS = {"attention": "attention", "digital_layers": "digital", "adapters": "digital"}
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
    return svg(title, len(bars) * ROW + 4, Markup("").join(rows))


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
    return svg("The network: layers and products of activations", len(rows) * 44 + 8, Markup("").join(marks), width)


def _shortened(text: str, longest: int = 42) -> str:
    """A name; only the end of a long one, which tells more than its beginning."""
    return text if len(text) <= longest else "…" + text[-(longest - 1) :]


def svg(title: str, height: int, content: Markup, width: int = WIDTH) -> Markup:
    """Picture of that height, named by its title."""
    return Markup(
        '<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}" preserveAspectRatio="xMinYMin meet">{}</svg>'
    ).format(width, height, width, escape(title), content)
