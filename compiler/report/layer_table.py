"""The table of columns of layers, from which every format of a report takes what it shows of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilewright.compiler.cost import CostEstimate, LayerCost
from tilewright.compiler.report.column import Column, Columns, Format
from tilewright.compiler.report.warnings import range_error
from tilewright.runtime.plan.blocks import TilePosition
from tilewright.runtime.plan.decisions import Decision
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.spec import AnalogTarget, DigitalTarget, Programming


@dataclass(frozen=True)
class ReportedLayer:
    """A layer of a plan, with all that the plan says of it elsewhere. Keys of ``LAYERS`` in JSON are attributes too:
    ``layer.energy_nj``.

    record: the plan's own. hardware: the target that it runs on.
    """

    record: LayerRecord
    hardware: AnalogTarget | DigitalTarget
    method: Programming | None
    """Programming method; None on digital units."""
    first: TilePosition | None
    """First of its tiles; None on digital units."""
    run: CostEstimate | None
    """Cost of the report's run; None where that is not known."""
    cost: LayerCost | None
    """Part of the layer in the cost of the run."""
    sensitivities: dict[str, float]
    """Figures that ``tilewright sensitivity`` found for it on its target, by criterion, as far as they are kept."""
    decided: list[Decision]
    """All decisions about it."""
    is_calibrated: bool
    """True if inputs were looked at; in a plan of a config alone none were."""

    def __repr__(self) -> str:
        """A line for a terminal."""
        layer = self.record
        return f"ReportedLayer({layer.name!r}: {layer.inputs} x {layer.outputs} on {layer.target})"

    def __getattr__(self, key: str) -> Any:
        """Figure by its key in JSON."""
        if key not in FIGURES:
            raise AttributeError(f"a layer of a report has no {key!r}")
        return FIGURES[key].of(self)

    def __dir__(self) -> list[str]:
        """Fields and figures, for who completes names."""
        return [*super().__dir__(), *FIGURES]


def _used(layer: ReportedLayer) -> float:
    """Cells that hold its weights, of those of its tiles; zero on digital units."""
    if not isinstance(layer.hardware, AnalogTarget):
        return 0.0
    record, tile = layer.record, layer.hardware.tile
    return record.inputs * record.outputs / (record.tile_count * tile.rows * tile.columns)


def _compensation(layer: ReportedLayer) -> str | None:
    return layer.hardware.drift_compensation if isinstance(layer.hardware, AnalogTarget) else None


def _ranges(layer: ReportedLayer) -> str | None:
    """Smallest and largest range of its uses; "own" where each vector has its own."""
    known = [value for value in layer.record.option.input_ranges if value is not None]
    if not known:
        return "own" if layer.is_calibrated else None
    low, high = f"{min(known):.3g}", f"{max(known):.3g}"
    return low if low == high else f"{low}..{high}"


def _largest_range(layer: ReportedLayer) -> float | None:
    return max((value for value in layer.record.option.input_ranges if value is not None), default=None)


def _sensitivity(layer: ReportedLayer) -> float | None:
    """Loss that its target was chosen by, or what is kept of the criteria of the outputs' divergence."""
    kept = (layer.sensitivities.get(criterion) for criterion in ("divergence", "gradient"))
    return next((value for value in (layer.record.predicted_loss, *kept) if value is not None), None)


def _energy_share(layer: ReportedLayer) -> float | None:
    if layer.cost is None or layer.run is None or not layer.run.energy_nj:
        return None
    return layer.cost.total_nj / layer.run.energy_nj


def _told(decision: Decision) -> str:
    maker = decision.made_by if decision.use is None else f"{decision.made_by}, use {decision.use}"
    return f"{maker}: {decision.choice} ({decision.reason})"


JSON, TERMINAL = Format.JSON, Format.TERMINAL
COMPARED = JSON | Format.DIFFERENCE
LISTED = Format.CSV | Format.PAGE
SUMMED_UP = LISTED | Format.MARKDOWN

LAYERS: Columns[ReportedLayer] = (
    Column("name", JSON | SUMMED_UP | TERMINAL, lambda layer: layer.record.name, "layer"),
    Column("shape", TERMINAL, lambda layer: f"{layer.record.inputs}x{layer.record.outputs}", brief=True),
    Column("inputs", COMPARED | SUMMED_UP, lambda layer: layer.record.inputs, unit=""),
    Column("outputs", COMPARED | SUMMED_UP, lambda layer: layer.record.outputs, unit=""),
    Column("parts", COMPARED, lambda layer: [part.weight for part in layer.record.parts]),
    Column("target", COMPARED | SUMMED_UP | TERMINAL, lambda layer: layer.record.target),
    Column("programming", COMPARED | LISTED | TERMINAL, lambda layer: layer.record.option.programming),
    Column("devices_per_weight", COMPARED, lambda layer: 2 * layer.method.pairs if layer.method else 0),
    Column("drift_compensation", COMPARED, _compensation),
    Column("block_rows", COMPARED, lambda layer: len(layer.record.option.row_splits)),
    Column("block_columns", COMPARED, lambda layer: len(layer.record.option.column_splits)),
    Column("blocks", LISTED | TERMINAL,
           lambda layer: f"{layer.block_rows}x{layer.block_columns}" if layer.record.tiles else None, brief=True),
    Column("tiles", COMPARED | SUMMED_UP, lambda layer: layer.record.tile_count, unit=""),
    Column("tiles", TERMINAL, lambda layer: layer.record.tile_count or None, unit=""),
    Column("utilisation", JSON, _used),
    Column("utilisation", SUMMED_UP, lambda layer: _used(layer) or None, "used", unit="%"),
    Column("used", TERMINAL, lambda layer: f"{_used(layer):.0%}" if layer.record.tiles else None, brief=True),
    Column("uses", COMPARED | LISTED | TERMINAL, lambda layer: len(layer.record.uses), unit=""),
    Column("input_ranges", COMPARED, lambda layer: layer.record.option.input_ranges),
    Column("largest_range", LISTED, _largest_range, "range", unit="1"),
    Column("range", TERMINAL, _ranges, brief=True),
    Column("clip_deviations", COMPARED | LISTED, lambda layer: layer.record.option.clip_deviations, "clipped at", "1"),
    Column("range_error", JSON | LISTED, lambda layer: range_error(layer.record.option), "range error", "%"),
    Column("channel_scale", COMPARED, lambda layer: layer.record.option.has_channel_scale),
    Column("scaled", TERMINAL, lambda layer: "yes" if layer.channel_scale else None, brief=True),
    Column("first_tile", COMPARED, lambda layer: layer.first._asdict() if layer.first else None),
    Column("first tile", TERMINAL, lambda layer: layer.first, brief=True),
    Column("predicted_loss", JSON, lambda layer: layer.record.predicted_loss),
    Column("sensitivities", JSON),
    Column("sensitivity", SUMMED_UP, _sensitivity, unit="1"),
    Column("energy_nj", COMPARED | SUMMED_UP, lambda layer: layer.cost and layer.cost.total_nj, "energy", "nJ"),
    Column("energy_share", JSON | LISTED, _energy_share, "of all", "%"),
    Column("latency_ns", COMPARED | SUMMED_UP, lambda layer: layer.cost and layer.cost.latency_ns, "latency", "ns"),
    Column("reason", JSON | LISTED, lambda layer: layer.record.reason),
    Column("decisions", JSON, lambda layer: [_told(decision) for decision in layer.decided]),
)  # fmt: skip
"""Table of layers."""
FIGURES = {column.key: column for column in LAYERS if JSON in column.formats}
"""Columns of layers in JSON, by key."""
