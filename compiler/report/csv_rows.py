"""Rows for spreadsheets: one a layer, or one a plan. Numbers are as they are, without prefixes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from tilewright.compiler.report.cells import COLUMNS
from tilewright.compiler.report.lines import Report
from tilewright.targets.shown import visible

OF_PLAN = (
    "model", "architecture", "model_sha256", "target", "layers", "tiles", "chips", "utilisation", "parameters",
    "parameters_on_tiles", "parameters_look_up", "parameters_digital", "cost_preset", "energy_nj", "latency_ns",
    "area_mm2", "samples_per_second", "predicted_loss", "accuracy_metric", "accuracy_time", "accuracy_digital",
    "accuracy_mean", "accuracy_standard_error", "largest_relative_error", "warnings",
)  # fmt: skip
"""Columns of a plan's row: always all of them in this order, so that files of several runs can be joined."""

FORMULAS = ("=", "+", "-", "@")
"""Signs at the start of a cell that make a spreadsheet take it for more than words."""


def layers_csv(report: Report) -> str:
    """A row a layer, with the report's model and target in front."""
    rows = [[report.model, report.target, *(column.value(layer) for column in COLUMNS)] for layer in report.layers]
    return _csv(["model", "chip", *(column.key for column in COLUMNS)], rows)


def plans_csv(reports: Sequence[Report]) -> str:
    """A row a plan."""
    return _csv(list(OF_PLAN), [[_of_plan(report)[key] for key in OF_PLAN] for report in reports])


def _of_plan(report: Report) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(OF_PLAN)
    values |= {key: getattr(report, key) for key in OF_PLAN if hasattr(report, key)}
    values |= {"layers": len(report.layers), "warnings": len(report.warnings)}
    if report.cost is not None:
        values |= {"cost_preset": report.cost.preset, "energy_nj": report.cost.energy_nj}
        values |= {key: getattr(report.cost, key) for key in ("latency_ns", "area_mm2", "samples_per_second")}
    if report.assignment is not None:
        values["predicted_loss"] = report.assignment.predicted.get("loss")
    for evaluation in report.evaluations[-1:]:
        values |= {"accuracy_metric": evaluation["metric"], "accuracy_digital": evaluation["digital"]}
        for point in evaluation["points"][-1:]:
            values |= {f"accuracy_{key}": point[key] for key in ("time", "mean", "standard_error")}
    return values


def _written(value: Any) -> Any:
    """A cell; words that a spreadsheet would run as a formula are quoted, and numbers stay numbers."""
    if not isinstance(value, str):
        return "" if value is None else value
    words = visible(value)
    return f"'{words}" if words.lstrip()[:1] in FORMULAS else words


def _csv(header: list[str], rows: list[list[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_written(value) for value in row] for row in rows)
    return file.getvalue()
