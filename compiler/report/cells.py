"""The report's figures as rows of cells: what tables of every format have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tilewright.compiler.engineering import NANO, engineering, sizes_text
from tilewright.compiler.report.lines import LayerLine, Report

MOST_SHOWN = 3
"""Conditions on sizes that are written out."""


@dataclass(frozen=True)
class Column:
    """One column of the table of layers. value: what is sorted by and written for machines; text: what is read."""

    key: str
    heading: str
    value: Callable[[LayerLine], Any]
    text: Callable[[Any], str] = str
    number: bool = False


@dataclass(frozen=True)
class Cell:
    """One value, as it is and as it is read."""

    value: str
    text: str
    number: bool


def _energy(nanojoules: float) -> str:
    return engineering(nanojoules * NANO, "J")


def _time(nanoseconds: float) -> str:
    return engineering(nanoseconds * NANO, "s")


def share(value: float) -> str:
    """A part of a whole, or a relative error: in per cent."""
    return f"{value:.1%}"


def figure(value: float) -> str:
    """A number without a unit: three digits."""
    return f"{value:.3g}"


def _largest_range(layer: LayerLine) -> float | None:
    return max((value for value in layer.input_ranges if value is not None), default=None)


def _sensitivity(layer: LayerLine) -> float | None:
    """The loss that its target was chosen by, or what is kept of the criteria of the outputs' divergence."""
    kept = (layer.sensitivities.get(criterion) for criterion in ("divergence", "gradient"))
    known = [layer.predicted_loss, *kept]
    return next((value for value in known if value is not None), None)


COLUMNS = (
    Column("name", "layer", lambda layer: layer.name),
    Column("inputs", "inputs", lambda layer: layer.inputs, number=True),
    Column("outputs", "outputs", lambda layer: layer.outputs, number=True),
    Column("target", "target", lambda layer: layer.target),
    Column("programming", "programming", lambda layer: layer.programming),
    Column("blocks", "blocks", lambda layer: f"{layer.block_rows}x{layer.block_columns}" if layer.tiles else None),
    Column("tiles", "tiles", lambda layer: layer.tiles, number=True),
    Column("utilisation", "used", lambda layer: layer.utilisation if layer.tiles else None, share, number=True),
    Column("uses", "uses", lambda layer: layer.uses, number=True),
    Column("largest_range", "range", _largest_range, figure, number=True),
    Column("clip_deviations", "clipped at", lambda layer: layer.clip_deviations, figure, number=True),
    Column("range_error", "range error", lambda layer: layer.range_error, share, number=True),
    Column("sensitivity", "sensitivity", _sensitivity, figure, number=True),
    Column("energy_nj", "energy", lambda layer: layer.energy_nj, _energy, number=True),
    Column("energy_share", "of all", lambda layer: layer.energy_share, share, number=True),
    Column("latency_ns", "latency", lambda layer: layer.latency_ns, _time, number=True),
    Column("reason", "reason", lambda layer: layer.reason),
)
"""Of the table of layers, in every format; the keys are stable."""


def layer_cells(layer: LayerLine) -> list[Cell]:
    """One layer's row."""
    cells = []
    for column in COLUMNS:
        value = column.value(layer)
        shown = "" if value is None else column.text(value)
        cells.append(Cell("" if value is None else str(value), shown, column.number))
    return cells


def sizes_that_may_vary(report: Report) -> tuple[str, str]:
    """The limits of sizes, as in "batch from 1, sequence 1 to 64", and their conditions; empty where there are none."""
    limits = [
        f"{name} from {least}" if most is None else f"{name} {least} to {most}"
        for name, (least, most) in report.sizes.items()
    ]
    conditions = report.size_conditions or []
    more = f" and {len(conditions) - MOST_SHOWN} more" if len(conditions) > MOST_SHOWN else ""
    return ", ".join(limits), ("where " if conditions else "") + ", ".join(conditions[:MOST_SHOWN]) + more


def totals(report: Report) -> list[tuple[str, str, str]]:
    """(name, value, note) of the sums."""
    chips = f"{report.chips} chip{'s' if report.chips != 1 else ''} of {report.tiles_per_chip}"
    rows = [
        ("layers", str(len(report.layers)), f"{len(report.matmuls)} products of activations"),
        ("tiles", str(report.tiles), chips if report.tiles_per_chip else ""),
        ("utilisation", share(report.utilisation), "of the tiles in use"),
        ("parameters", f"{report.parameters:,}", f"{report.parameters_on_tiles:,} on tiles"),
        ("look-up tables", f"{report.parameters_look_up:,}", "parameters"),
        ("digital", f"{report.parameters_digital:,}", "parameters"),
    ]
    if report.cost is not None:
        cost, size = report.cost, sizes_text(report.cost.sizes)
        rows += [
            ("energy", engineering(cost.energy_nj * NANO or None, "J"), f"a run of {size}"),
            ("latency", engineering(cost.latency_ns * NANO or None, "s"), f"{cost.preset}, {cost.status}"),
            ("pipelined", engineering(cost.samples_per_second, "") + " samples/s", "every tile busy"),
            ("area", f"{cost.area_mm2:.4g} mm2", "of the tiles in use"),
        ]
    for evaluation in report.evaluations[-1:]:
        last = evaluation["points"][-1] if evaluation["points"] else None
        if last is not None:
            note = f"{evaluation['metric']} after {last['time']}; digital {evaluation['digital']:.2f}"
            rows.append(("accuracy", f"{last['mean']:.2f}", note))
    if report.has_weights:
        rows.append(("verified", f"{report.largest_relative_error:.1e}", "largest relative error on the ideal target"))
    if report.checked_relative_error is not None:
        rows.append(("checked", f"{report.checked_relative_error:.1e}", f"from {report.checked_against}"))
    if report.sizes:
        rows.append(("sizes", *sizes_that_may_vary(report)))
    rows.append(("calibrated on", str(report.calibration_samples), f"samples, {report.calibration}"))
    return rows
