"""The one report object, which every format prints: the plan's own records, and what is computed of them once."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from tilewright.compiler.cost import CostEstimate
from tilewright.compiler.report.column import as_json
from tilewright.compiler.report.layer_table import LAYERS, ReportedLayer
from tilewright.compiler.report.tables import ADAPTERS, ASSIGNMENTS, COSTS, MATMULS, WEIGHTS
from tilewright.compiler.report.totals import totals
from tilewright.runtime.plan.adapter_records import AdapterRecord
from tilewright.runtime.plan.decisions import AssignmentRecord, Decision
from tilewright.runtime.plan.records import MatmulRecord, UnusedTensor, WeightRecord


@dataclass(frozen=True)
class BlockLine:
    """Contents of one tile: half-open ranges of its layer's inputs (rows) and outputs (columns).

    layer: its name. chip, row, column: place of the tile. rows, columns: [start, stop] in the layer's matrix.
    utilisation: share of the tile's cells that hold weights, 0 to 1.
    """

    layer: str
    chip: int
    row: int
    column: int
    rows: list[int]
    columns: list[int]
    utilisation: float


@dataclass(frozen=True)
class CallLine:
    """One call of a layer or product, in running order, the calls it waits for, and when it runs in the usual run.

    Times are zero where nothing is known of them.

    node: in the plan's graph. name, use: of the layer or product, and which of its uses. before: nodes of the calls it
    waits for. start_ns, end_ns: from the beginning of the run.
    """

    node: str
    name: str
    use: int
    before: list[str]
    start_ns: float
    end_ns: float


@dataclass(frozen=True)
class Report:
    """Figures of a plan for people: sums, records, and what to look at. ``to_json`` keeps these names.

    model, architecture, model_sha256: name, kind and hash of the network. target, target_summary: name of the chip, and
    what it is. tiles, chips, tiles_per_chip: in use, in use, and on each chip. utilisation: share of the cells of tiles
    in use that hold weights, 0 to 1. parameters, parameters_on_tiles, parameters_look_up, parameters_digital: numbers
    in all weights, and how many are where. layers, matmuls, blocks, calls: a line each; no blocks of plans with very
    many. weights, unused_tensors: of the model, and those that its files hold beside them. calibration,
    calibration_samples: where the inputs that ranges are of came from, and how many. assignment: the joint choice of
    targets, if there was one. largest_relative_error: of the graph after any pass, against the model. checked_against,
    checked_relative_error: tool that ran the original, and the plan's distance from it; None if not asked for. notes:
    changes made in the model. warnings: what to look at, in sentences.
    """

    model: str
    architecture: str
    model_sha256: str
    target: str
    target_summary: str
    tiles: int
    chips: int
    tiles_per_chip: int
    mesh: list[int]
    """Rows and columns of tiles on one chip."""
    utilisation: float
    parameters: int
    parameters_on_tiles: int
    parameters_look_up: int
    parameters_digital: int
    layers: list[ReportedLayer]
    matmuls: list[MatmulRecord]
    blocks: list[BlockLine]
    calls: list[CallLine]
    decisions: list[Decision]
    """Decisions in force, in running order."""
    weights: list[WeightRecord]
    unused_tensors: list[UnusedTensor]
    calibration: str
    calibration_samples: int
    sizes: dict[str, tuple[int, int | None]]
    """Least and largest of each size that may vary; None where nothing limits it."""
    size_conditions: list[str] | None
    """Conditions that sizes must satisfy beside their limits; None where they are not known."""
    cost: CostEstimate | None
    """Cost of the usual run; None where it is not known."""
    assignment: AssignmentRecord | None
    adapters: list[AdapterRecord]
    """Adapters that may be chosen for a run."""
    evaluations: list[dict[str, Any]]
    """Findings of ``tilewright evaluate`` on this plan, kept in its folder."""
    has_weights: bool
    """True if it can be run; a plan of a config alone has no ranges and was not compared with anything."""
    largest_relative_error: float
    checked_against: str | None
    checked_relative_error: float | None
    notes: list[str]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "layers": as_json(LAYERS, self.layers),
            "matmuls": as_json(MATMULS, self.matmuls),
            "blocks": [asdict(block) for block in self.blocks],
            "calls": [asdict(call) for call in self.calls],
            "decisions": [decision.model_dump(mode="json") for decision in self.decisions],
            "weights": as_json(WEIGHTS, self.weights),
            "unused_tensors": [tensor.model_dump(mode="json") for tensor in self.unused_tensors],
            "adapters": as_json(ADAPTERS, self.adapters),
            "cost": as_json(COSTS, [self.cost])[0] if self.cost else None,
            "assignment": as_json(ASSIGNMENTS, [self.assignment])[0] if self.assignment else None,
        }

    def __repr__(self) -> str:
        """A line for a terminal."""
        return (
            f"Report({self.model!r} on {self.target}: {len(self.layers)} layers, {self.tiles} tiles on {self.chips} "
            f"chip(s), {self.utilisation:.1%} used, {len(self.warnings)} warnings)"
        )

    def _repr_html_(self) -> str:
        """The sums, for a notebook."""
        from markupsafe import escape

        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td><td>{escape(note)}</td></tr>"
            for name, value, note in totals(self)
        )
        return f"<table><caption>{escape(self.model)} on {escape(self.target)}</caption>{rows}</table>"
