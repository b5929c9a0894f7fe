"""Pages of a plan and of two: templates filled from the one report object."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from tilewright.compiler.engineering import figure_text, share, sizes_text
from tilewright.compiler.report.accuracy_table import accuracy_headings, accuracy_rows
from tilewright.compiler.report.column import Cell, Format, shown_in
from tilewright.compiler.report.difference import Difference, added_and_removed, shown_change
from tilewright.compiler.report.html.accuracy_chart import accuracy_chart
from tilewright.compiler.report.html.charts import (
    Bar,
    amdahl_chart,
    bar_chart,
    component_chart,
    energy_bar,
    network_chart,
)
from tilewright.compiler.report.html.rendering import rendered_page
from tilewright.compiler.report.layer_table import LAYERS
from tilewright.compiler.report.report import Report
from tilewright.compiler.report.tables import ways_to_choose
from tilewright.compiler.report.totals import totals
from tilewright.compiler.report.warnings import range_error
from tilewright.runtime.plan.records import LayerRecord

SECTIONS = {
    "summary": "Summary", "map": "Chip map", "layers": "Layers", "network": "Network", "cost": "Cost",
    "sensitivity": "Sensitivity", "accuracy": "Accuracy", "calibration": "Calibration", "decisions": "Decisions",
}  # fmt: skip
LEGEND = (("tile", "on tiles"), ("digital", "on digital units"), ("attention", "on attention units"))


def report_page(report: Report) -> str:
    """The report as one self-contained HTML file."""
    sensitivities = _sensitivities(report)
    missing = {"map": not report.blocks, "sensitivity": not sensitivities}
    records = [layer.record for layer in report.layers]
    kinds = {layer.name: _kind(layer) for layer in records} | {matmul.name: "attention" for matmul in report.matmuls}
    targets = {layer.name: layer.target for layer in records}
    targets |= {matmul.name: f"{matmul.operands.upper()} unit" for matmul in report.matmuls}
    made = report.assignment
    ways = [made.predicted, *made.compared.values()] if made else []
    keys = list(dict.fromkeys(key for figures in ways for key in figures or {}))
    columns, subjects = shown_in(LAYERS, Format.PAGE), _by_subject(report)
    return rendered_page(
        "report.html.j2",
        {
            "layers": [{"name": layer.name, "target": layer.target} for layer in records],
            "mesh": report.mesh,
            "blocks": _blocks(report),
            "decisions": subjects,
        },
        report=report,
        sections=[(key, name) for key, name in SECTIONS.items() if not missing.get(key)],
        cards=totals(report),
        targets=list(dict.fromkeys(layer.target for layer in records)),
        columns=[(column.key, column.title) for column in columns],
        rows=[
            {"target": layer.record.target, "cells": [column.cell(layer) for column in columns]}
            for layer in report.layers
        ],
        legend=[(kind, name) for kind, name in LEGEND if kind in kinds.values()],
        network=network_chart(report.calls, kinds, targets),
        run_size=sizes_text(report.cost.sizes) if report.cost else "",
        components=component_chart(report.cost) if report.cost else None,
        amdahl=amdahl_chart(report.cost) if report.cost else None,
        layer_costs=_layer_costs(report),
        sensitivities=sensitivities,
        assignment_keys=keys,
        assignment_rows=ways_to_choose(made, keys) if made else [],
        accuracy=[
            (evaluation, accuracy_chart(evaluation), accuracy_headings(evaluation), accuracy_rows(evaluation))
            for evaluation in report.evaluations
        ],
        ranges=_ranges(report),
        subjects=[(subject, ", ".join(dict.fromkeys(d["made_by"] for d in decided)))
                  for subject, decided in subjects.items()],
    )  # fmt: skip


def comparison_page(one: Report, other: Report, difference: Difference) -> str:
    """Two plans side by side, as one self-contained HTML file."""
    left, right = ({name: value for name, value, _ in totals(report)} for report in (one, other))
    names = list(dict.fromkeys([*left, *right]))
    headings = ["layer", *(f"{side} {column.title}" for column in COMPARED for side in ("first", "second"))]
    return rendered_page(
        "comparison.html.j2",
        {},
        one=one,
        other=other,
        cards=[("target", one.target, other.target)]
        + [(name, left.get(name, ""), right.get(name, "")) for name in names],
        left_cost=component_chart(one.cost) if one.cost else None,
        right_cost=component_chart(other.cost) if other.cost else None,
        columns=[(heading, heading) for heading in headings],
        rows=_compared_layers(one, other),
        changes=[(change.subject, *shown_change(change)) for change in difference.changes]
        + added_and_removed(difference),
    )


def _kind(layer: LayerRecord) -> str:
    return "tile" if layer.tiles else "digital"


COMPARED = [column for column in shown_in(LAYERS, Format.PAGE) if column.key in ("target", "tiles", "energy_nj")]
"""Columns of which a comparison shows both sides."""


def _compared_layers(one: Report, other: Report) -> list[dict[str, Any]]:
    sides = [{layer.record.name: layer for layer in report.layers} for report in (one, other)]
    rows = []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        pair = [side.get(name) for side in sides]
        cells = [Cell(name, name, False)]
        for column in COMPARED:
            missing = Cell("", "" if column.is_number else "none", column.is_number)
            cells += [column.cell(layer) if layer else missing for layer in pair]
        changed = pair[0] is None or pair[1] is None or pair[0].record.target != pair[1].record.target
        rows.append({"target": "changed" if changed else "", "cells": cells})
    return rows


def _blocks(report: Report) -> list[list[Any]]:
    """Place of each tile: [number of the layer, chip, row, column, rows, columns, utilisation]."""
    numbers = {layer.record.name: number for number, layer in enumerate(report.layers)}
    return [
        [numbers[b.layer], b.chip, b.row, b.column, b.rows, b.columns, round(b.utilisation, 4)] for b in report.blocks
    ]


def _by_subject(report: Report) -> dict[str, list[dict[str, Any]]]:
    """Decisions about a layer, its uses with it, or about a product or all."""
    subjects: dict[str, list[dict[str, Any]]] = {}
    for decision in report.decisions:
        subjects.setdefault(decision.subject, []).append(decision.model_dump(mode="json", exclude={"subject"}))
    return subjects


def _layer_costs(report: Report) -> Markup | None:
    if report.cost is None:
        return None
    bars = [energy_bar(layer.record.name, layer.energy_nj, _kind(layer.record), report.cost) for layer in report.layers]
    return bar_chart("Energy of a run by layer", bars)


def _sensitivities(report: Report) -> list[tuple[str, Markup]]:
    """A chart for each criterion: the assignment's, and what is kept of others."""
    charts: dict[str, dict[str, float]] = {}
    if report.assignment is not None:
        records = [layer.record for layer in report.layers]
        losses = {layer.name: layer.predicted_loss for layer in records if layer.predicted_loss is not None}
        charts[f"{report.assignment.criterion}, by which targets were chosen"] = losses
    for layer in report.layers:
        for criterion, value in layer.sensitivities.items():
            if report.assignment is None or criterion != report.assignment.criterion:
                charts.setdefault(criterion, {})[layer.record.name] = value

    def text(value: float) -> str:
        return figure_text(value, "1", 3)

    return [(title, _layer_bars(report, title, values, text)) for title, values in charts.items() if values]


def _layer_bars(report: Report, title: str, values: dict[str, float], text: Callable[[float], str]) -> Markup:
    """One bar a layer, the largest first. text: how a value is written here and everywhere else on the page."""
    layers = {layer.record.name: layer.record for layer in report.layers}
    bars = [
        Bar(name, [(max(value, 0.0), _kind(layers[name]))], f"{text(value)} on {layers[name].target}")
        for name, value in sorted(values.items(), key=lambda item: -item[1])
        if math.isfinite(value)
    ]
    return bar_chart(f"{title}, by layer", bars)


def _ranges(report: Report) -> Markup | None:
    errors = {layer.record.name: range_error(layer.record.option) for layer in report.layers}
    known = {name: error for name, error in errors.items() if error is not None}
    return _layer_bars(report, "Simulated error at its range", known, share) if known else None
