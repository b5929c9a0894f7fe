"""The one report object, and its lines: what every format prints."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LayerLine:
    """One layer. Shapes are inputs x outputs, in weights; ranges in units of the input, None where vectors have their
    own. On digital units there are no tiles, no programming and no drift compensation. Energy and latency are those of
    the run that the report's cost is of; None where the chip names no cost preset.
    """

    name: str
    parts: list[str]
    inputs: int
    outputs: int
    block_rows: int
    block_columns: int
    tiles: int
    utilisation: float
    target: str
    programming: str | None
    devices_per_weight: int
    drift_compensation: str | None
    clip_deviations: float | None
    uses: int
    input_ranges: list[float | None]
    channel_scale: bool
    first_tile: dict[str, int] | None
    energy_nj: float | None
    energy_share: float | None
    latency_ns: float | None
    predicted_loss: float | None
    """By the assignment's criterion, where targets were chosen together."""
    sensitivities: dict[str, float]
    """By criterion, what ``tilewright sensitivity`` found for it on its target, as far as that is kept."""
    range_error: float | None
    """Of its outputs, from converters alone, at the worst use's range; None where no range was chosen by it."""
    reason: str
    decisions: list[str]


@dataclass(frozen=True)
class CostLine:
    """Cost of one run, at ``sizes``; see ``estimate_cost``."""

    preset: str
    status: str
    sizes: dict[str, int]
    energy_nj: float
    latency_ns: float
    area_mm2: float
    samples_per_second: float | None
    components: dict[str, float]
    attention_nj: float
    attention_share_of_macs: float
    with_cheaper_tiles: list[dict[str, float]]
    not_modelled: list[str]
    assumptions: list[str]


@dataclass(frozen=True)
class AssignmentLine:
    """Joint choice of the layers' targets. predicted, measured: figures by name; compared: other ways to choose, with
    what was predicted of them (nothing where they find none); accuracy: what was measured on labelled data.
    """

    method: str
    criterion: str
    minimise: str
    budgets: dict[str, float]
    units: dict[str, str]
    """Units of budgets and predictions, by name."""
    predicted: dict[str, float]
    measured: dict[str, float]
    compared: dict[str, dict[str, float]]
    accuracy: dict[str, Any] | None


@dataclass(frozen=True)
class MatmulLine:
    """One product of two activations."""

    name: str
    kind: str
    unit: str
    left_ranges: list[float]
    right_ranges: list[float]
    left_signed: bool
    reason: str


@dataclass(frozen=True)
class BlockLine:
    """Block of a layer on one tile: half-open ranges of its layer's inputs (rows) and outputs (columns)."""

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
    """

    node: str
    name: str
    use: int
    before: list[str]
    start_ns: float
    end_ns: float


@dataclass(frozen=True)
class WeightLine:
    """One parameter of the model. place: analog, digital or look-up."""

    name: str
    shape: list[int]
    parameters: int
    place: str
    reason: str
    layers: list[str]


@dataclass(frozen=True)
class Report:
    """Figures of a plan for people: sums, a line a layer, and what to look at. ``to_json`` keeps these names."""

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
    layers: list[LayerLine]
    matmuls: list[MatmulLine]
    blocks: list[BlockLine]
    calls: list[CallLine]
    decisions: list[dict[str, Any]]
    """As the plan has them."""
    weights: list[WeightLine]
    unused_tensors: list[dict[str, Any]]
    """Name and shape of what the model's files hold and no part of the network is made of."""
    calibration: str
    calibration_samples: int
    sizes: dict[str, tuple[int, int | None]]
    """Least and largest of each size that may vary; None where nothing limits it."""
    size_conditions: list[str] | None
    """Conditions that sizes must satisfy beside their limits; None where they are not known."""
    cost: CostLine | None
    assignment: AssignmentLine | None
    evaluations: list[dict[str, Any]]
    """What ``tilewright evaluate`` found of this plan, kept in its folder."""
    has_weights: bool
    """Whether it can be run; a plan of a config alone has no ranges and was not compared with anything."""
    largest_relative_error: float
    checked_against: str | None
    checked_relative_error: float | None
    notes: list[str]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return asdict(self)

    def __repr__(self) -> str:
        """A line for a terminal."""
        return (
            f"Report({self.model!r} on {self.target}: {len(self.layers)} layers, {self.tiles} tiles on {self.chips} "
            f"chip(s), {self.utilisation:.1%} used, {len(self.warnings)} warnings)"
        )

    def _repr_html_(self) -> str:
        """The sums, for a notebook."""
        from markupsafe import escape

        from tilewright.compiler.report.cells import totals  # cells are of lines

        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td><td>{escape(note)}</td></tr>"
            for name, value, note in totals(self)
        )
        return f"<table><caption>{escape(self.model)} on {escape(self.target)}</caption>{rows}</table>"
