"""A table of figures in every format: for a terminal, as CSV, Markdown, LaTeX or JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tilewright.compiler.report.csv_rows import written_cell
from tilewright.compiler.report.finite_json import json_text
from tilewright.compiler.report.markdown import markdown_text
from tilewright.compiler.report.plain_console import PlainTable
from tilewright.targets.shown import visible

TableFormat = Literal["terminal", "csv", "markdown", "latex", "json"]
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "·": r"$\cdot$", "γ": r"$\gamma$",
    "≥": r"$\geq$", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
"""Letters that LaTeX does not print as they are."""


@dataclass(frozen=True)
class Figure:
    """A number and its error, as they are printed with ``digits`` after the point; None is unknown."""

    value: float | None
    error: float | None = None
    digits: int = 2

    def __str__(self) -> str:
        """Text such as 92.13 ± 0.11; empty if it is unknown."""
        if self.value is None:
            return ""
        text = f"{self.value:.{self.digits}f}"
        return text if self.error is None else f"{text} ± {self.error:.{self.digits}f}"


@dataclass(frozen=True)
class WrittenTable:
    """Rows of words and figures under headings.

    keys: names of the columns for machines. headings: for people. rows: words, whole numbers, and ``Figure``. In CSV
    and JSON a figure with errors has two columns, KEY and KEY_error.
    """

    keys: Sequence[str]
    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]
    title: str = ""

    def written(self, format: TableFormat) -> str:
        """Text of the table in one of the formats for files."""
        return {"csv": self._csv, "markdown": self._markdown, "latex": self._latex, "json": self._json}[format]()

    def terminal(self) -> PlainTable:
        """Table for a terminal; nothing is cut."""
        table = PlainTable(title=self.title)
        for heading, is_figure in zip(self.headings, self._figures(), strict=True):
            table.add_column(heading, justify="right" if is_figure else "left", overflow="fold")
        for row in self.text_rows():
            table.add_row(*row)
        return table

    def text_rows(self) -> list[list[str]]:
        """Rows as people read them."""
        return [[_text(cell) for cell in row] for row in self.rows]

    def _figures(self) -> list[bool]:
        """Flags of the columns: True if one holds numbers."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.keys)
        return [all(cell is None or isinstance(cell, int | float | Figure) for cell in column) for column in columns]

    def _flat(self) -> tuple[list[str], list[list[Any]]]:
        """Keys and rows with an error in a column of its own."""
        columns = list(zip(*self.rows, strict=True)) if self.rows else [()] * len(self.keys)
        keys: list[str] = []
        made: list[list[Any]] = []
        for key, column in zip(self.keys, columns, strict=True):
            keys.append(key)
            made.append([cell.value if isinstance(cell, Figure) else cell for cell in column])
            if any(isinstance(cell, Figure) and cell.error is not None for cell in column):
                keys.append(f"{key}_error")
                made.append([cell.error if isinstance(cell, Figure) else None for cell in column])
        return keys, [list(row) for row in zip(*made, strict=True)]

    def _csv(self) -> str:
        keys, rows = self._flat()
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(written_cell, keys))
        writer.writerows([written_cell(value) for value in row] for row in rows)
        return file.getvalue()

    def _json(self) -> str:
        keys, rows = self._flat()
        return json_text([dict(zip(keys, row, strict=True)) for row in rows]) + "\n"

    def _markdown(self) -> str:
        rule = ("---:" if is_figure else "---" for is_figure in self._figures())
        lines = [[markdown_text(heading) for heading in self.headings], list(rule)]
        lines += [[markdown_text(cell) for cell in row] for row in self.text_rows()]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def _latex(self) -> str:
        """Table for the package booktabs."""
        columns = "".join("r" if is_figure else "l" for is_figure in self._figures())
        lines = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_line(self.headings), r"\midrule"]
        lines += [_latex_line(row) for row in self.text_rows()]
        return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_line(cells: Any) -> str:
    return " & ".join(_latex_text(cell) for cell in cells) + r" \\"


def _latex_text(text: str) -> str:
    return re.sub("|".join(map(re.escape, LATEX)), lambda found: LATEX[found[0]], visible(text))


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)
