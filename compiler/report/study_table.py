"""Table of a study: a row a variant, with the network's figure and A* at each time."""

from __future__ import annotations

from typing import Any

from tilewright.compiler.report.written_table import Figure, WrittenTable
from tilewright.compiler.studies.study import Study
from tilewright.compiler.studies.variations import said
from tilewright.runtime.measuring.evaluation import TimePoint


def study_table(study: Study) -> WrittenTable:
    """Table of a study: what varies, the digital reference's figure, and at each time the mean over chips and A*."""
    times = [point.time for point in study.points[0].evaluation.points]
    names = study.varied or ["variant"]
    keys = [*names, "digital", *(key for time in times for key in (time, f"{time}_A"))]
    headings = [*names, "digital", *(heading for time in times for heading in (time, "A* %"))]
    rows: list[list[Any]] = []
    for one in study.points:
        row: list[Any] = [said(one.changes[key]) for key in study.varied] or [one.name]
        row.append(Figure(one.evaluation.digital))
        for point in one.evaluation.points:
            row += [Figure(point.mean, point.standard_error), normalised(point)]
        rows.append(row)
    return WrittenTable(keys, headings, rows, study.title)


def normalised(point: TimePoint) -> Figure:
    """A* at a time in percent, with its standard error over chips; empty where nobody knows chance."""
    found = point.normalised
    if found is None:
        return Figure(None)
    error = None if found.standard_error is None else 100 * found.standard_error
    return Figure(100 * found.mean, error, digits=1)
