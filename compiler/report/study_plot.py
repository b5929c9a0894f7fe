"""Plot of a study, for a column of a paper: lines over a key's values, or bars of variants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tilewright.compiler.report.plot_file import HEIGHT, label, plot_bytes, write_plot
from tilewright.compiler.studies.study import Study, StudyPoint
from tilewright.compiler.studies.variations import said

LONG = 10_000
"""Numbers from which on an axis writes k, M or G, so that they stay apart."""


def plot_study(study: Study, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the plot of a study as .pdf, .svg or .png: one line a time over one key, or a value of the second key.

    Variants with names are bars at the last time. Error bars are standard errors over chips. Raises ``InputError`` for
    another ending, without matplotlib, and for a file that is there already, unless it may be replaced.
    """
    write_plot(Path(path), lambda figure: _draw(figure, study), overwrite=overwrite, height=_height(study))


def study_svg(study: Study) -> str:
    """Plot of a study as SVG."""
    return plot_bytes(lambda figure: _draw(figure, study), "svg", height=_height(study)).decode()


def _height(study: Study) -> float:
    return HEIGHT if _is_of_numbers(study) else max(HEIGHT, 0.6 + 0.22 * len(study.points))


def _is_of_numbers(study: Study) -> bool:
    return bool(study.varied) and all(_is_number(one.changes[study.varied[0]]) for one in study.points)


def _draw(figure: Any, study: Study) -> None:
    (_lines if _is_of_numbers(study) else _bars)(figure.add_subplot(), study)


def _lines(axes: Any, study: Study) -> None:
    first, *others = study.varied
    ordered = sorted(study.points, key=lambda one: one.changes[first])
    if others:
        groups: dict[str, list[StudyPoint]] = {}
        for one in ordered:
            groups.setdefault(", ".join(f"{key} {said(one.changes[key])}" for key in others), []).append(one)
        for name, points in groups.items():
            _line(axes, [one.changes[first] for one in points], [one.evaluation.points[-1] for one in points], name)
    else:
        values = [one.changes[first] for one in ordered]
        for place, point in enumerate(study.points[0].evaluation.points):
            _line(axes, values, [one.evaluation.points[place] for one in ordered], point.time)
    axes.axhline(study.points[0].evaluation.digital, color="0.6", linewidth=0.8, linestyle="--", label="digital")
    evaluation = study.points[0].evaluation
    axes.set_xlabel(label(first))
    if max(abs(one.changes[first]) for one in ordered) >= LONG:
        from matplotlib.ticker import EngFormatter, MaxNLocator

        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_ylabel(label(evaluation.metric + (f" at {evaluation.points[-1].time}" if others else "")))
    axes.legend(frameon=False, fontsize=7)


def _line(axes: Any, values: list[Any], points: list[Any], name: str) -> None:
    errors = [point.standard_error or 0.0 for point in points]
    axes.errorbar(
        values,
        [point.mean for point in points],
        errors,
        label=label(name),
        marker="o",
        markersize=3,
        capsize=2,
        linewidth=1,
    )


def _bars(axes: Any, study: Study) -> None:
    points = [one.evaluation.points[-1] for one in study.points]
    places = list(range(len(points)))
    axes.barh(
        places, [point.mean for point in points], xerr=[point.standard_error or 0.0 for point in points], color="C0"
    )
    axes.axvline(study.points[0].evaluation.digital, color="0.6", linewidth=0.8, linestyle="--")
    axes.set_yticks(places, [label(one.name) for one in study.points])
    axes.invert_yaxis()
    lowest = min(min(point.values) for point in points)
    axes.set_xlim(left=max(0.0, lowest - 0.1 * abs(lowest)) if lowest >= 0 else None)
    axes.set_xlabel(label(study.points[0].evaluation.metric) + "\n" + label(f"at {points[0].time}"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
