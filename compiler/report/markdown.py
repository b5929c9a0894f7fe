"""The report as Markdown, for pull requests."""

from __future__ import annotations

import re

from tilewright.compiler.engineering import counted
from tilewright.compiler.report.column import Format, shown_in
from tilewright.compiler.report.layer_table import LAYERS
from tilewright.compiler.report.report import Report
from tilewright.compiler.report.totals import totals
from tilewright.targets.shown import visible


def markdown(report: Report) -> str:
    """Report as Markdown: totals, warnings, and a table of layers that unfolds."""
    lines = [f"### {markdown_text(report.model)} on {markdown_text(report.target)}", ""]
    lines += ["| figure | | |", "|---|---|---|"]
    for name, value, note in (map(markdown_text, row) for row in totals(report)):
        lines.append(f"| {name} | **{value}** | {note} |")
    if report.warnings or report.notes:
        lines += ["", *(f"- {markdown_text(line)}" for line in [*report.warnings, *report.notes])]
    columns = shown_in(LAYERS, Format.MARKDOWN)
    lines += ["", f"<details><summary>{counted(len(report.layers), 'layer')}</summary>", ""]
    lines.append("| " + " | ".join(column.title for column in columns) + " |")
    lines.append("|" + "|".join("---:" if column.is_number else "---" for column in columns) + "|")
    for layer in report.layers:
        lines.append("| " + " | ".join(markdown_text(column.cell(layer).text) for column in columns) + " |")
    return "\n".join([*lines, "", "</details>", ""])


def markdown_text(text: str) -> str:
    """Words from a model that stay words: no markup, no links, no cells of their own."""
    flat = " ".join(visible(text).split())
    return re.sub(r"([\\`*_{}\[\]<>|#~&])", r"\\\1", flat).replace("\\_", "_" if "_" in flat else "\\_")
