"""Tables of what a report holds one of, or shows few of: products, weights, the cost, the assignment, the plan."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from tilewright.compiler.cost import CostEstimate
from tilewright.compiler.engineering import figure_text
from tilewright.compiler.report.column import Column, Columns, Format, plain
from tilewright.runtime.plan.adapter_records import AdapterRecord
from tilewright.runtime.plan.decisions import UNITS, AssignmentRecord
from tilewright.runtime.plan.records import MatmulRecord, WeightRecord

if TYPE_CHECKING:
    from tilewright.compiler.report.report import Report

JSON, CSV, DIFFERENCE, TERMINAL = Format.JSON, Format.CSV, Format.DIFFERENCE, Format.TERMINAL
COMPARED = JSON | DIFFERENCE

MATMULS: Columns[MatmulRecord] = (
    *plain(JSON, "name"),
    *plain(COMPARED, "kind"),
    Column("unit", COMPARED, lambda matmul: matmul.operands),
    *plain(COMPARED, "left_ranges", "right_ranges", "left_signed"),
    *plain(JSON, "reason"),
)
WEIGHTS: Columns[WeightRecord] = plain(JSON, "name", "shape", "parameters", "place", "reason", "layers")
ADAPTERS: Columns[AdapterRecord] = (
    *plain(JSON | TERMINAL, "name"),
    *plain(JSON, "source", "sha256", "base"),
    Column("layers", JSON, lambda record: record.layers),
    Column("layers", TERMINAL, lambda record: len(record.layers), unit=""),
    Column("adapted_layers", DIFFERENCE, lambda record: record.layers, "layers"),
    Column("ranks", COMPARED, lambda record: sorted({pair.rank for pair in record.low_rank})),
    Column("ranks", TERMINAL, lambda record: ", ".join(str(r) for r in sorted({p.rank for p in record.low_rank}))),
    Column("scales", COMPARED, lambda record: sorted({pair.scale for pair in record.low_rank})),
    Column("replaced", COMPARED, lambda record: [matrix.module for matrix in record.replacements]),
    Column("replaced", TERMINAL, lambda record: ", ".join(matrix.module for matrix in record.replacements) or None),
    Column("parameters", JSON | TERMINAL, lambda record: record.parameters, unit=""),
    Column("adapter_parameters", DIFFERENCE, lambda record: record.parameters, "parameters", ""),
    Column("adapter_sha256", DIFFERENCE, lambda record: record.sha256, "sha256"),
    Column("low_rank", JSON, lambda record: [pair.model_dump(mode="json") for pair in record.low_rank]),
    Column("replacements", JSON, lambda record: [matrix.model_dump(mode="json") for matrix in record.replacements]),
)
COSTS: Columns[CostEstimate] = (
    *plain(COMPARED, "preset"),
    *plain(JSON, "status", "sizes"),
    *plain(COMPARED, "energy_nj", "latency_ns", "area_mm2", "samples_per_second"),
    *plain(JSON, "components", "adapter", "attention_nj", "attention_share_of_macs"),
    Column("with_cheaper_tiles", JSON, lambda cost: cost.with_cheaper_tiles()),
    *plain(JSON, "not_modelled", "assumptions"),
)


def _measured(record: AssignmentRecord) -> dict[str, float]:
    """Measured figures of an assignment by name, as far as there are any."""
    if record.measured is None:
        return {}
    found = record.measured.model_dump(mode="json", exclude_none=True)
    return {"standard error" if key == "standard_error" else key: value for key, value in found.items()}


def ways_to_choose(record: AssignmentRecord, keys: Iterable[str]) -> list[list[str]]:
    """Rows of the ways to choose targets: a way's name, and what it comes to in figures of these keys."""
    rows, found = [], record.model_dump(include={"predicted", "compared"})
    for way, figures in {f"{record.method} (this plan)": found["predicted"], **found["compared"]}.items():
        cells = [figure_text((figures or {}).get(key, math.nan), UNITS[key]) for key in keys]
        rows.append([way, *(cells if figures else ["none found" for _ in cells])])
    return rows


ASSIGNMENTS: Columns[AssignmentRecord] = (
    *plain(COMPARED, "method", "criterion", "minimise", "budgets"),
    Column("units", JSON, lambda record: {name: UNITS[name] for name in [*record.budgets, *record.predicted]}),
    *plain(COMPARED, "predicted"),
    Column("measured", COMPARED, _measured),
    Column("compared", JSON, lambda record: {name: amounts or {} for name, amounts in record.compared.items()}),
    Column("accuracy", COMPARED, lambda record: record.accuracy and record.accuracy.model_dump(mode="json")),
)


def _of_cost(key: str, report: Report) -> Any:
    return getattr(report.cost, key, None)


def _last(key: str, report: Report) -> Any:
    """Setting of the last evaluation, or a figure at the last of its times."""
    evaluation = report.evaluations[-1] if report.evaluations else {}
    point = evaluation["points"][-1] if evaluation.get("points") else {}
    return evaluation.get(key, point.get(key))


PLANS: Columns[Report] = (
    *plain(CSV | DIFFERENCE, "model"),
    *plain(CSV, "architecture"),
    *plain(CSV | DIFFERENCE, "model_sha256", "target"),
    Column("layers", CSV, lambda report: len(report.layers)),
    *plain(CSV | DIFFERENCE, "tiles", "chips", "utilisation", "parameters", "parameters_on_tiles"),
    *plain(CSV | DIFFERENCE, "parameters_look_up", "parameters_digital"),
    Column("cost_preset", CSV, lambda report: report.cost and report.cost.preset),
    *(
        Column(key, CSV, partial(_of_cost, key))
        for key in ("energy_nj", "latency_ns", "area_mm2", "samples_per_second")
    ),
    Column("predicted_loss", CSV, lambda report: report.assignment and report.assignment.predicted.get("loss")),
    *(
        Column(f"accuracy_{key}", CSV, partial(_last, key))
        for key in ("metric", "time", "digital", "mean", "standard_error")
    ),
    Column("accuracy_low", CSV, lambda report: (_last("over_both", report) or {}).get("low")),
    Column("accuracy_high", CSV, lambda report: (_last("over_both", report) or {}).get("high")),
    Column("accuracy_normalised", CSV, lambda report: (_last("normalised", report) or {}).get("mean")),
    Column("accuracy_iso", CSV, partial(_last, "iso_accuracy")),
    *plain(CSV, "largest_relative_error"),
    Column("warnings", CSV, lambda report: len(report.warnings)),
    *plain(DIFFERENCE, "calibration", "calibration_samples"),
)
"""Table of plans. Rows always have all columns in this order, so that files of several runs can be joined."""
