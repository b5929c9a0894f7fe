"""Plot of a study, for a column of a paper: lines over a key's values, or bars of variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tilewright.compiler.studies.study import Study, StudyPoint
from tilewright.compiler.studies.variations import said
from tilewright.runtime.storage.atomic_file import whole_file
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import shown_path

ENDINGS = ("pdf", "svg", "png")
WIDTH, HEIGHT = 3.5, 2.4
"""Size in inches: a column of a paper."""
SETTINGS = {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "tilewright"}


def check_plot(path: Path) -> None:
    """Raise ``InputError`` unless a plot can be written there: by its ending, and with matplotlib installed."""
    ending = path.suffix.removeprefix(".").lower()
    if ending not in ENDINGS:
        raise InputError(
            f"a plot is written by its ending, and {shown_path(path)} has {ending!r}; {nearest(ending, ENDINGS)}"
        )
    try:
        import matplotlib  # noqa: F401 (is it there?)
    except ImportError as error:
        raise InputError("plots need matplotlib: pip install 'tilewright[plots]'") from error


def plot_study(study: Study, path: Path) -> None:
    """Write the plot of a study as .pdf, .svg or .png: one line a time over one key, or a value of the second key.

    Variants with names are bars at the last time. Error bars are standard errors over chips.
    """
    check_plot(path)
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas

    numbers = bool(study.varied) and all(_is_number(one.changes[study.varied[0]]) for one in study.points)
    with rc_context(SETTINGS):
        height = HEIGHT if numbers else max(HEIGHT, 0.6 + 0.22 * len(study.points))
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        axes = canvas.add_subplot()
        (_lines if numbers else _bars)(axes, study)
        ending = path.suffix.removeprefix(".").lower()
        metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(ending)  # the same bytes each time
        with whole_file(path) as file:
            canvas.savefig(file, format=ending, dpi=300, metadata=metadata)


def _lines(axes: Any, study: Study) -> None:
    first, *others = study.varied
    if others:
        groups: dict[str, list[StudyPoint]] = {}
        for one in study.points:
            groups.setdefault(", ".join(f"{key} {said(one.changes[key])}" for key in others), []).append(one)
        for name, points in groups.items():
            _line(axes, [one.changes[first] for one in points], [one.evaluation.points[-1] for one in points], name)
    else:
        values = [one.changes[first] for one in study.points]
        for place, point in enumerate(study.points[0].evaluation.points):
            _line(axes, values, [one.evaluation.points[place] for one in study.points], point.time)
    axes.axhline(study.points[0].evaluation.digital, color="0.6", linewidth=0.8, linestyle="--", label="digital")
    axes.set_xlabel(first)
    axes.set_ylabel(study.points[0].evaluation.metric)
    axes.legend(frameon=False, fontsize=7)


def _line(axes: Any, values: list[Any], points: list[Any], name: str) -> None:
    errors = [point.standard_error or 0.0 for point in points]
    axes.errorbar(
        values, [point.mean for point in points], errors, label=name, marker="o", markersize=3, capsize=2, linewidth=1
    )


def _bars(axes: Any, study: Study) -> None:
    points = [one.evaluation.points[-1] for one in study.points]
    places = list(range(len(points)))
    axes.barh(
        places, [point.mean for point in points], xerr=[point.standard_error or 0.0 for point in points], color="C0"
    )
    axes.axvline(study.points[0].evaluation.digital, color="0.6", linewidth=0.8, linestyle="--")
    axes.set_yticks(places, [one.name for one in study.points])
    axes.invert_yaxis()
    lowest = min(min(point.values) for point in points)
    axes.set_xlim(left=max(0.0, lowest - 0.1 * abs(lowest)) if lowest >= 0 else None)
    axes.set_xlabel(f"{study.points[0].evaluation.metric} at {points[0].time}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
