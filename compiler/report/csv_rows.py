"""Rows for spreadsheets: one a layer, or one a plan. Numbers are as they are, without prefixes."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from tilewright.compiler.report.column import Format, shown_in
from tilewright.compiler.report.layer_table import LAYERS
from tilewright.compiler.report.report import Report
from tilewright.compiler.report.tables import PLANS
from tilewright.targets.shown import visible

FORMULAS = ("=", "+", "-", "@")
"""Signs at the start of a cell that make a spreadsheet take it for more than words."""


def layers_csv(report: Report) -> str:
    """CSV with a row a layer, and with the report's model and target in front."""
    columns = shown_in(LAYERS, Format.CSV)
    rows = ([report.model, report.target, *(column.of(layer) for column in columns)] for layer in report.layers)
    return _csv(["model", "chip", *(column.key for column in columns)], rows)


def plans_csv(reports: Sequence[Report]) -> str:
    """CSV with a row a plan."""
    columns = shown_in(PLANS, Format.CSV)
    return _csv([column.key for column in columns], ([column.of(report) for column in columns] for report in reports))


def written_cell(value: Any) -> Any:
    """Value of a cell; words that a spreadsheet would run as a formula are quoted, and numbers stay numbers."""
    if not isinstance(value, str):
        return "" if value is None else value
    words = visible(value)
    return f"'{words}" if words.lstrip()[:1] in FORMULAS else words


def _csv(header: list[str], rows: Iterable[list[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(written_cell, header))
    writer.writerows([written_cell(value) for value in row] for row in rows)
    return file.getvalue()
