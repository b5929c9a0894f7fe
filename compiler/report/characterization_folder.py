"""A characterization as a folder: its figures, and plots of products' errors over time and of weight errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.compiler.report.finite_json import json_text
from tilewright.compiler.report.plot_file import check_matplotlib
from tilewright.runtime.measuring.characterize import Characterization
from tilewright.runtime.storage.atomic_folder import FolderKind, atomic_folder, check_destination

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED_TIMES = {1: "1 s", 60: "1 min", 3600: "1 h", 86400: "1 d", 604800: "1 w", 2592000: "1 mo", 31536000: "1 y"}
EARLIEST = 0.1
"""Seconds at which time 0 is drawn: an axis of logarithms has no zero."""


def save_characterization(found: Characterization, folder: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Write all figures (JSON) and their plots (PNG) as a folder, whole or not at all. Returns the files' paths.

    Raises ``InputError`` without matplotlib, and for a folder that is there already, unless it may be replaced and
    holds a characterization.
    """
    folder = Path(folder)
    check_folder(folder, overwrite=overwrite)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with atomic_folder(folder, KIND, overwrite=overwrite) as unfinished:
        (unfinished / RESULT_FILE).write_text(json_text(found.to_json()) + "\n", encoding="utf-8")
        for name, plot in PLOTS.items():
            figure = Figure(figsize=(9, 5.5), layout="constrained")
            FigureCanvasAgg(figure)  # no window, no state that is shared with the caller's plots
            plot(found, figure)
            figure.savefig(unfinished / name, dpi=150)
    return [folder / name for name in (RESULT_FILE, *PLOTS)]


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise ``InputError`` if a characterization cannot be drawn or written there, before it is measured."""
    check_matplotlib()
    check_destination(folder, KIND, overwrite=overwrite)


def plot_mvm_error(found: Characterization, figure: Figure) -> None:
    """Draw the error of products ||y - ŷ|| / ||y|| over time, mean and standard error over chips."""
    axes = figure.add_subplot()
    for curve in found.curves:
        times = [max(point.seconds, EARLIEST) for point in curve.points]
        means = [100 * point.mean for point in curve.points]
        bars = [100 * (point.standard_error or 0.0) for point in curve.points]
        axes.errorbar(times, means, yerr=bars, marker="o", markersize=4, capsize=3, label=curve.label)
    axes.set_xscale("log")
    _name_times(axes, found)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("time since programming")
    axes.set_ylabel("error of a product  ‖y − ŷ‖ / ‖y‖  (%)")
    axes.set_title(f"{found.rows} x {found.columns}, {found.problem}; {found.repeats} chips", fontsize=10)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8)


def plot_weight_error(found: Characterization, figure: Figure) -> None:
    """Draw errors of held weights from wanted ones, at the first and the last time."""
    first_and_last = [0, -1] if len(found.curves[0].points) > 1 else [0]
    panels: Any = figure.subplots(1, len(first_and_last), sharey=True, squeeze=False)[0]
    for axes, place in zip(panels, first_and_last, strict=True):
        for curve in found.curves:
            point = curve.points[place]
            share = [100 * count / max(1, sum(point.histogram)) for count in point.histogram]
            label = f"{curve.label} (σ {point.weight_error_deviation:.3f})"
            axes.stairs(share, curve.histogram_edges, label=label, linewidth=1.2)
        axes.set_title(f"{found.curves[0].points[place].time} after programming", fontsize=10)
        axes.set_xlabel("weight error, in parts of the column's scale")
        axes.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel("share of weights a bin (%)")
    panels[-1].legend(fontsize=8)


def _name_times(axes: Axes, found: Characterization) -> None:
    seconds = [point.seconds for point in found.curves[0].points]
    low, high = max(min(seconds), EARLIEST), max(seconds)
    ticks = {at: name for at, name in NAMED_TIMES.items() if low <= at <= high}
    if len(ticks) > 1:
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.minorticks_off()


RESULT_FILE = "characterization.json"
PLOTS = {"mvm_error.png": plot_mvm_error, "weight_error.png": plot_weight_error}
KIND = FolderKind("a characterization", RESULT_FILE, frozenset({"problem", "curves"}), lambda _: set(PLOTS))
