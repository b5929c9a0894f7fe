"""The sums of a report, in words: what a page's cards, Markdown and notebooks begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewright.compiler.engineering import counted, engineering, share, sizes_text
from tilewright.compiler.report.accuracy_table import uncertainty_text

if TYPE_CHECKING:
    from tilewright.compiler.report.report import Report

MOST_SHOWN = 3
"""Largest number of conditions on sizes that are written out."""


def sizes_that_may_vary(report: Report) -> tuple[str, str]:
    """Limits of sizes, as in "batch from 1, sequence 1 to 64", and their conditions; empty where there are none."""
    limits = [
        f"{name} from {least}" if most is None else f"{name} {least} to {most}"
        for name, (least, most) in report.sizes.items()
    ]
    conditions = report.size_conditions or []
    more = f" and {len(conditions) - MOST_SHOWN} more" if len(conditions) > MOST_SHOWN else ""
    return ", ".join(limits), ("where " if conditions else "") + ", ".join(conditions[:MOST_SHOWN]) + more


def chips_text(report: Report) -> str:
    """Chips and their tiles, as in: 2 chips of 576."""
    return f"{counted(report.chips, 'chip')} of {report.tiles_per_chip}"


def measured_on(examples: int, chips: int) -> str:
    """Examples and chips that an accuracy is the mean over, as in: 1500 examples, 5 chips."""
    return f"{counted(examples, 'example')}, {counted(chips, 'chip')}"


def totals(report: Report) -> list[tuple[str, str, str]]:
    """Sums of a report, as (name, value, note)."""
    rows = [
        ("layers", str(len(report.layers)), f"{len(report.matmuls)} products of activations"),
        ("tiles", str(report.tiles), chips_text(report) if report.tiles_per_chip else ""),
        ("utilisation", share(report.utilisation), "of the tiles in use"),
        ("parameters", f"{report.parameters:,}", f"{report.parameters_on_tiles:,} on tiles"),
        ("look-up tables", f"{report.parameters_look_up:,}", "parameters"),
        ("digital", f"{report.parameters_digital:,}", "parameters"),
    ]
    if report.adapters:
        names = ", ".join(f"{record.name} ({record.parameters:,} parameters)" for record in report.adapters)
        rows.append(("adapters", str(len(report.adapters)), names))
    if report.cost is not None:
        cost = report.cost
        rows += [
            ("energy", engineering(cost.energy_nj or None, "nJ"), f"a run of {sizes_text(cost.sizes)}"),
            ("latency", engineering(cost.latency_ns or None, "ns"), f"{cost.preset}, {cost.status}"),
            ("pipelined", engineering(cost.samples_per_second, "") + " samples/s", "every tile busy"),
            ("area", f"{cost.area_mm2:.4g} mm2", "of the tiles in use"),
        ]
    for evaluation in report.evaluations[-1:]:
        for last in evaluation["points"][-1:]:
            over = measured_on(evaluation["examples"], evaluation["repeats"])
            note = f"{evaluation['metric']} after {last['time']}, {over}; digital {evaluation['digital']:.2f}"
            note += f"; adapter {evaluation['adapter']}" if evaluation.get("adapter") else ""
            note += "".join(f"; {text}" for text in [uncertainty_text(evaluation, last)] if text)
            rows.append(("accuracy", f"{last['mean']:.2f}", note))
    if report.has_weights:
        rows.append(("verified", f"{report.largest_relative_error:.1e}", "largest relative error on the ideal target"))
    if report.checked_relative_error is not None:
        rows.append(("checked", f"{report.checked_relative_error:.1e}", f"from {report.checked_against}"))
    if report.sizes:
        rows.append(("sizes", *sizes_that_may_vary(report)))
    rows.append(("calibrated on", str(report.calibration_samples), f"samples, {report.calibration}"))
    return rows
