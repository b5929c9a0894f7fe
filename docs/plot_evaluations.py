"""Plot the A* of evaluations over time, or of studies over a key: a panel a group, a line a file.

python docs/plot_evaluations.py -o docs/pictures/training.svg "MRPC: trained digitally=control-mrpc.json" ...
python docs/plot_evaluations.py -o docs/pictures/studies.svg "bits of the ADC: MiniLM=minilm-adc.json" ...

Each file is what ``tilewright evaluate --json``, or ``sweep --json`` of one key, printed. Bars are the 95 % interval
over examples and chips, or over examples alone where there is one chip; of studies the standard error over chips.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

STYLES = {"color": ("#4477aa", "#ee6677", "#228833", "#aa3377", "#66ccee"), "marker": ("o", "s", "^", "D", "v")}
"""Colours that the colour-blind can tell apart (Tol 2021), and marks for print."""


def read(given: str) -> tuple[str, str, dict[str, Any]]:
    """Panel, line and content of ``PANEL: LINE=FILE``."""
    name, _, path = given.rpartition("=")
    panel, _, line = name.partition(": ")
    return panel, line, json.loads(Path(path).read_text(encoding="utf-8"))


def over_time(found: dict[str, Any], shift: float) -> tuple[list[float], list[float], list[list[float]]]:
    """Places, A* in percent, and its bars, of an evaluation. shift: to the side, for bars that lie on others."""
    points = [point for point in found["points"] if point["normalised"] is not None]
    middle = [100 * point["normalised"]["mean"] for point in points]
    ends = [point["normalised"]["over_both"] or point["normalised"]["over_examples"] for point in points]
    low, high = ([100 * end[side] for end in ends] for side in ("low", "high"))
    errors = [[a - b for a, b in zip(middle, low, strict=True)], [b - a for a, b in zip(middle, high, strict=True)]]
    return [point["seconds"] * 1.35**shift for point in points], middle, errors


def over_key(found: dict[str, Any]) -> tuple[list[float], list[float], list[list[float]]]:
    """Places, A* in percent at the last time, and its bars, of a study of one key."""
    (key,) = found["varied"]
    last = [point["evaluation"]["points"][-1]["normalised"] for point in found["points"]]
    errors = [100 * (one["standard_error"] or 0.0) for one in last]
    places = [point["changes"][key] for point in found["points"]]
    return places, [100 * one["mean"] for one in last], [errors, errors]


def main() -> None:
    """Draw all panels side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluations", nargs="+", metavar="PANEL: LINE=FILE")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    read_all = [read(one) for one in given.evaluations]
    panels = list(dict.fromkeys(panel for panel, _, _ in read_all))
    lines = list(dict.fromkeys(line for _, line, _ in read_all))
    mpl.rcParams |= {"svg.hashsalt": "tilewright", "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    figure, axes = pyplot.subplots(1, len(panels), figsize=(2.4 * len(panels), 2.6), sharey=True, squeeze=False)
    for panel, line, found in read_all:
        number, axis = lines.index(line), axes[0][panels.index(panel)]
        style = {key: values[number % len(values)] for key, values in STYLES.items()}
        places, middle, errors = over_key(found) if "varied" in found else over_time(found, number - len(lines) / 2)
        axis.errorbar(places, middle, errors, label=line, markersize=4, linewidth=1, elinewidth=0.7, **style)
        axis.set_title(panel)
        axis.set_xlabel(found["varied"][0] if "varied" in found else "time since programming")
        if "varied" not in found:
            axis.set_xscale("log")
            axis.set_xticks([1, 86400, 2592000], ["1 s", "1 d", "1 mo"])
            axis.minorticks_off()
    for axis in axes[0]:
        axis.axhline(100, color="#bbbbbb", linewidth=0.7, zorder=0)
    axes[0][0].set_ylabel("A*, %")
    names = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(names.values(), names.keys(), loc="lower center", ncols=len(names), frameon=False)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    given.output.parent.mkdir(exist_ok=True)
    figure.savefig(given.output, metadata={"Date": None})
    print(f"wrote {given.output}")


if __name__ == "__main__":
    main()
