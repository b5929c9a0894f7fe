"""Plot of sensitivities, for a paper: a bar a layer and target, a panel a criterion, the most sensitive layer first."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tilewright.compiler.report.plot_file import HEIGHT, WIDTH, check_plot, label, write_plot
from tilewright.compiler.sensitivity import Sensitivity

MOST = 60
"""Layers that are drawn at most: those of the largest figures."""
PANEL = 1.9
"""Width in inches of each panel but the first, which has the names of the layers."""
ROW = 0.16


def plot_sensitivity(found: Sensitivity, path: str | Path, *, overwrite: bool = False) -> None:
    """Write the plot of sensitivities as .pdf, .svg or .png: a bar a layer and target, a panel a criterion.

    Layers are in the order of the first criterion's largest figure; the first 60 are drawn, and the plot says so.
    Raises ``InputError`` for another ending, without matplotlib, and for a file that is there already, unless it may be
    replaced.
    """
    check_plot(Path(path), overwrite=overwrite)
    layers = layers_in_order(found)
    targets = list(dict.fromkeys(figure.target for figure in found.figures))
    rows = min(len(layers), MOST) * max(1.0, 0.6 * len(targets))
    write_plot(
        Path(path), lambda figure: _draw(figure, found, layers, targets),
        overwrite=overwrite, width=WIDTH + PANEL * (len(found.criteria) - 1), height=max(HEIGHT, 0.7 + ROW * rows),
    )  # fmt: skip


def layers_in_order(found: Sensitivity) -> list[str]:
    """Names of the layers, the most sensitive first by the first criterion, on the target that it is worst on."""
    worst: dict[str, float] = {}
    for (layer, _), value in found.of(next(iter(found.criteria))).items():
        worst[layer] = max(worst.get(layer, -math.inf), value if math.isfinite(value) else math.inf)
    return sorted(worst, key=lambda layer: -worst[layer])


def _draw(figure: Any, found: Sensitivity, layers: list[str], targets: list[str]) -> None:
    shown = layers[:MOST]
    panels = figure.subplots(1, len(found.criteria), sharey=True, squeeze=False)[0]
    for axes, (criterion, meaning) in zip(panels, found.criteria.items(), strict=True):
        values = found.of(criterion)
        for number, target in enumerate(targets):
            there = [place for place, layer in enumerate(shown) if math.isfinite(values.get((layer, target), math.nan))]
            height = 0.8 / len(targets)
            middles = [place - 0.4 + (number + 0.5) * height for place in there]
            axes.barh(middles, [values[shown[place], target] for place in there], height, label=label(target))
        axes.set_title(criterion, fontsize=8)
        axes.set_xlabel(meaning.rpartition(", ")[2])  # its unit
    panels[0].set_yticks(range(len(shown)), [label(name) for name in shown], fontsize=6)
    panels[0].invert_yaxis()
    if len(shown) < len(layers):
        panels[0].set_ylabel(f"the first {len(shown)} of {len(layers)} layers")
    if len(targets) > 1:
        panels[-1].legend(frameon=False, fontsize=6)
