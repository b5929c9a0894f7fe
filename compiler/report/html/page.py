"""The page: templates filled from the one report object. Everything that comes from a model or plan is text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from tilewright.compiler.engineering import NANO, engineering, figure_text, sizes_text
from tilewright.compiler.report.cells import COLUMNS, Cell, figure, layer_cells, share, totals
from tilewright.compiler.report.difference import Difference, as_text
from tilewright.compiler.report.finite_json import finite
from tilewright.compiler.report.html.charts import (
    Bar,
    accuracy_chart,
    amdahl_chart,
    bar_chart,
    component_chart,
    network_chart,
)
from tilewright.compiler.report.lines import Report
from tilewright.targets.shown import visible

SECTIONS = {
    "summary": "Summary", "map": "Chip map", "layers": "Layers", "network": "Network", "cost": "Cost",
    "sensitivity": "Sensitivity", "accuracy": "Accuracy", "calibration": "Calibration", "decisions": "Decisions",
}  # fmt: skip
LEGEND = (("tile", "on tiles"), ("digital", "on digital units"), ("attention", "on attention units"))


def report_page(report: Report) -> str:
    """One self-contained HTML file."""
    sensitivities = _sensitivities(report)
    missing = {"map": not report.blocks, "sensitivity": not sensitivities}
    kinds = {layer.name: "tile" if layer.tiles else "digital" for layer in report.layers}
    kinds |= {matmul.name: "attention" for matmul in report.matmuls}
    targets = {layer.name: layer.target for layer in report.layers}
    targets |= {matmul.name: f"{matmul.unit.upper()} unit" for matmul in report.matmuls}
    keys, rows = _assignments(report)
    return _render(
        "report.html.j2",
        {
            "layers": [{"name": layer.name, "target": layer.target} for layer in report.layers],
            "mesh": report.mesh,
            "blocks": _blocks(report),
            "decisions": _by_subject(report),
        },
        report=report,
        sections=[(key, name) for key, name in SECTIONS.items() if not missing.get(key)],
        cards=totals(report),
        targets=list(dict.fromkeys(layer.target for layer in report.layers)),
        columns=[(column.key, column.heading) for column in COLUMNS],
        rows=[{"target": layer.target, "cells": layer_cells(layer)} for layer in report.layers],
        legend=[(kind, name) for kind, name in LEGEND if kind in kinds.values()],
        network=network_chart(report.calls, kinds, targets),
        run_size=sizes_text(report.cost.sizes) if report.cost else "",
        components=component_chart(report.cost) if report.cost else None,
        amdahl=amdahl_chart(report.cost) if report.cost else None,
        layer_costs=_layer_costs(report),
        sensitivities=sensitivities,
        assignment_keys=keys,
        assignment_rows=rows,
        accuracy=[(evaluation, accuracy_chart(evaluation)) for evaluation in report.evaluations],
        ranges=_ranges(report),
        subjects=[(subject, ", ".join(dict.fromkeys(d["made_by"] for d in made)))
                  for subject, made in _by_subject(report).items()],
    )  # fmt: skip


def comparison_page(one: Report, other: Report, difference: Difference) -> str:
    """Two plans side by side."""
    left, right = ({name: value for name, value, _ in totals(report)} for report in (one, other))
    names = list(dict.fromkeys([*left, *right]))
    return _render(
        "comparison.html.j2",
        {},
        one=one,
        other=other,
        cards=[("target", one.target, other.target)]
        + [(name, left.get(name, ""), right.get(name, "")) for name in names],
        left_cost=component_chart(one.cost) if one.cost else None,
        right_cost=component_chart(other.cost) if other.cost else None,
        columns=[(key, key) for key in COMPARED],
        rows=_compared_layers(one, other),
        changes=[(c.subject, c.key, as_text(c.before), as_text(c.after)) for c in difference.changes]
        + [(name, "", "there", "gone") for name in difference.removed]
        + [(name, "", "", "new") for name in difference.added],
    )


COMPARED = ("layer", "first target", "second target", "first tiles", "second tiles", "first energy", "second energy")


def _compared_layers(one: Report, other: Report) -> list[dict[str, Any]]:
    sides = [{layer.name: layer for layer in report.layers} for report in (one, other)]
    rows = []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        pair = [side.get(name) for side in sides]
        cells = [Cell(name, name, False)]
        cells += [Cell(layer.target if layer else "", layer.target if layer else "none", False) for layer in pair]
        cells += [Cell(str(layer.tiles) if layer else "", str(layer.tiles) if layer else "", True) for layer in pair]
        for layer in pair:
            energy = layer.energy_nj if layer else None
            shown = engineering(energy * NANO, "J") if energy is not None else ""
            cells.append(Cell("" if energy is None else str(energy), shown, True))
        changed = pair[0] is None or pair[1] is None or pair[0].target != pair[1].target
        rows.append({"target": "changed" if changed else "", "cells": cells})
    return rows


def _render(template: str, data: dict[str, Any], **values: Any) -> str:
    folder = files("tilewright.compiler.report.html")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    style = Markup(folder.joinpath("style.css").read_text(encoding="utf-8"))  # noqa: S704 (our own file)
    script = Markup(folder.joinpath("script.js").read_text(encoding="utf-8"))  # noqa: S704 (our own file)
    page = environment.from_string(folder.joinpath(template).read_text(encoding="utf-8"))
    rendered = page.render(style=style, script=script, data=_json(data), **values)
    return "\n".join(map(visible, rendered.split("\n")))


def _json(data: dict[str, Any]) -> Markup:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(finite(data), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)  # noqa: S704 (no sign of HTML is left in it)


def _blocks(report: Report) -> list[list[Any]]:
    """[number of the layer, chip, row, column, rows, columns, utilisation] of each tile."""
    numbers = {layer.name: number for number, layer in enumerate(report.layers)}
    return [
        [numbers[b.layer], b.chip, b.row, b.column, b.rows, b.columns, round(b.utilisation, 4)] for b in report.blocks
    ]


def _by_subject(report: Report) -> dict[str, list[dict[str, Any]]]:
    """Decisions about a layer, its uses with it, or about a product or all."""
    subjects: dict[str, list[dict[str, Any]]] = {}
    for decision in report.decisions:
        subjects.setdefault(decision["subject"], []).append(
            {key: value for key, value in decision.items() if key != "subject"}
        )
    return subjects


def _layer_costs(report: Report) -> Markup | None:
    if report.cost is None:
        return None
    bars = [
        Bar(layer.name, [(layer.energy_nj or 0.0, "tile" if layer.tiles else "digital")],
            f"{engineering((layer.energy_nj or 0.0) * NANO, 'J')} ({layer.energy_share or 0.0:.1%})")
        for layer in report.layers
    ]  # fmt: skip
    return bar_chart("Energy of a run by layer", bars)


def _sensitivities(report: Report) -> list[tuple[str, Markup]]:
    """A chart for each criterion: the assignment's, and what is kept of others."""
    charts: dict[str, dict[str, float]] = {}
    if report.assignment is not None:
        losses = {layer.name: layer.predicted_loss for layer in report.layers if layer.predicted_loss is not None}
        charts[f"{report.assignment.criterion}, by which targets were chosen"] = losses
    for layer in report.layers:
        for criterion, value in layer.sensitivities.items():
            if report.assignment is None or criterion != report.assignment.criterion:
                charts.setdefault(criterion, {})[layer.name] = value
    return [(title, _layer_bars(report, title, values, figure)) for title, values in charts.items() if values]


def _layer_bars(report: Report, title: str, values: dict[str, float], text: Callable[[float], str]) -> Markup:
    """One bar a layer, the largest first. text: how a value is written here and everywhere else on the page."""
    layers = {layer.name: layer for layer in report.layers}
    bars = [
        Bar(
            name,
            [(max(value, 0.0), "tile" if layers[name].tiles else "digital")],
            f"{text(value)} on {layers[name].target}",
        )
        for name, value in sorted(values.items(), key=lambda item: -item[1])
        if math.isfinite(value)
    ]
    return bar_chart(f"{title}, by layer", bars)


def _ranges(report: Report) -> Markup | None:
    known = {layer.name: layer.range_error for layer in report.layers if layer.range_error is not None}
    return _layer_bars(report, "Simulated error at its range", known, share) if known else None


def _assignments(report: Report) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """What other ways to choose targets come to."""
    found = report.assignment
    if found is None:
        return [], []
    rows = {f"{found.method} (this plan)": found.predicted, **found.compared}
    keys = list(dict.fromkeys(key for figures in rows.values() for key in figures))

    def cells(figures: dict[str, float]) -> list[str]:
        missing = "unknown" if figures else "none found"
        return [figure_text(figures[key], found.units.get(key, "1")) if key in figures else missing for key in keys]

    return keys, [(name, cells(figures)) for name, figures in rows.items()]
