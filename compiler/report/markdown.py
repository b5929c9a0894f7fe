"""The report as Markdown, for pull requests."""

from __future__ import annotations

import re

from tilewright.compiler.report.cells import COLUMNS, layer_cells, totals
from tilewright.compiler.report.lines import Report
from tilewright.targets.shown import visible

LAYER_COLUMNS = (
    "name",
    "inputs",
    "outputs",
    "target",
    "tiles",
    "utilisation",
    "sensitivity",
    "energy_nj",
    "latency_ns",
)


def markdown(report: Report) -> str:
    """Totals, warnings, and a table of layers that unfolds."""
    lines = [f"### {_text(report.model)} on {_text(report.target)}", "", "| figure | | |", "|---|---|---|"]
    lines += [f"| {_text(name)} | **{_text(value)}** | {_text(note)} |" for name, value, note in totals(report)]
    if report.warnings or report.notes:
        lines += ["", *(f"- {_text(line)}" for line in [*report.warnings, *report.notes])]
    shown = [place for place, column in enumerate(COLUMNS) if column.key in LAYER_COLUMNS]
    lines += ["", f"<details><summary>{len(report.layers)} layers</summary>", ""]
    lines.append("| " + " | ".join(COLUMNS[place].heading for place in shown) + " |")
    lines.append("|" + "|".join("---:" if COLUMNS[place].number else "---" for place in shown) + "|")
    for layer in report.layers:
        cells = layer_cells(layer)
        lines.append("| " + " | ".join(_text(cells[place].text) for place in shown) + " |")
    return "\n".join([*lines, "", "</details>", ""])


def _text(text: str) -> str:
    """Words from a model stay words: no markup, no links, no cells of their own."""
    flat = " ".join(visible(text).split())
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", flat).replace("\\_", "_" if "_" in flat else "\\_")
