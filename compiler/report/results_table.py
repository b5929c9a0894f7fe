"""Table of measurements: a row for all chips of one setting, in columns what tells the settings apart."""

from __future__ import annotations

from typing import Any

from tilewright.compiler.report.written_table import Figure, WrittenTable
from tilewright.runtime.measuring.results import HASH, SECONDS, ResultGroup, Results
from tilewright.targets.quantity import is_finite
from tilewright.targets.times import shown_time

SHORT = 12
"""Letters of a hash that are shown to people."""


def results_table(results: Results, *, whole: bool = False) -> WrittenTable:
    """Table of measurements, a row for all chips of one setting.

    Columns of which all rows say the same are in the title instead. whole: all columns, and whole hashes, for machines.
    """
    groups = results.groups()
    keys = list(dict.fromkeys(key for group in groups for key in group.names))
    alike = [key for key in keys if len(groups) > 1 and len({_said(group, key) for group in groups}) == 1]
    alike = [] if whole else alike
    shown = [key for key in keys if key not in alike]
    rows = [
        [
            *(group.names.get(key) if whole else _said(group, key) for key in shown),
            len(group.values),
            Figure(group.mean, group.standard_error),
        ]
        for group in groups
    ]
    title = ", ".join(f"{key} {_said(groups[0], key)}" for key in alike) if groups else ""
    headings = [key.replace("_", " ") for key in shown]
    return WrittenTable([*shown, "chips", "value"], [*headings, "chips", "mean ± s.e."], rows, title)


def _said(group: ResultGroup, key: str) -> Any:
    value = group.names.get(key)
    if key == SECONDS and is_finite(value):
        return shown_time(value)
    if isinstance(value, str) and len(value) == HASH:
        return value[:SHORT]
    return "" if value is None else str(value)
