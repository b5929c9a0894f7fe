"""The figures of a plan, as one object that every format prints."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from tilewright.compiler.cost import CostEstimate, LayerCost, cost_of_usual_run
from tilewright.runtime.plan import AssignmentRecord, Figure, LayerRecord, Plan
from tilewright.targets.spec import AnalogTarget

POOR = 0.25
"""A simulated error of a layer's outputs, from converters alone, that is worth a warning."""


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
    latency_ns: float | None
    reason: str
    decisions: list[str]


@dataclass(frozen=True)
class CostLine:
    """What one run costs, at ``sizes``; see ``estimate_cost``."""

    preset: str
    status: str
    sizes: dict[str, int]
    energy_nj: float
    latency_ns: float
    area_mm2: float
    samples_per_second: float | None
    components: dict[str, float]
    not_modelled: list[str]
    assumptions: list[str]


@dataclass(frozen=True)
class AssignmentLine:
    """How targets were chosen together. predicted, measured: figures by name; compared: other ways to choose, with
    what was predicted of them (nothing where they find none); accuracy: what was measured on labelled data.
    """

    method: str
    criterion: str
    minimise: str
    budgets: dict[str, float]
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
    """What a person wants to know of a plan. ``to_json`` keeps these names."""

    model: str
    architecture: str
    model_sha256: str
    target: str
    target_summary: str
    tiles: int
    chips: int
    tiles_per_chip: int
    utilisation: float
    parameters: int
    parameters_on_tiles: int
    parameters_look_up: int
    parameters_digital: int
    layers: list[LayerLine]
    matmuls: list[MatmulLine]
    weights: list[WeightLine]
    calibration: str
    calibration_samples: int
    cost: CostLine | None
    assignment: AssignmentLine | None
    largest_relative_error: float
    checked_against: str | None
    checked_relative_error: float | None
    notes: list[str]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        return asdict(self)


def summarise(plan: Plan) -> Report:
    """The report of a plan; reads nothing but the plan."""
    document = plan.document
    decisions: dict[str, list[str]] = {}
    for decision in document.decisions:
        decisions.setdefault(decision.subject, []).append(f"{decision.made_by}: {decision.choice} ({decision.reason})")
    parameters = {
        place: sum(weight.parameters for weight in document.weights_of_model if weight.place == place)
        for place in ("analog", "look-up", "digital")
    }
    mesh = document.placement.mesh
    cost, no_cost = cost_of_usual_run(plan)
    costs = {layer.name: layer for layer in cost.layers} if cost is not None else {}
    return Report(
        model=document.model.name,
        architecture=document.model.architecture,
        model_sha256=document.model.sha256,
        target=document.chip.name,
        target_summary=document.chip.summary,
        tiles=document.placement.tiles,
        chips=document.placement.chips,
        tiles_per_chip=mesh[0] * mesh[1],
        utilisation=document.placement.utilisation,
        parameters=document.model.parameters,
        parameters_on_tiles=parameters["analog"],
        parameters_look_up=parameters["look-up"],
        parameters_digital=parameters["digital"],
        layers=[
            _layer_line(plan, layer, decisions.get(layer.name, []), costs.get(layer.name)) for layer in document.layers
        ],
        matmuls=[
            MatmulLine(
                name=matmul.name,
                kind=matmul.kind,
                unit=matmul.operands,
                left_ranges=matmul.left_ranges,
                right_ranges=matmul.right_ranges,
                left_signed=matmul.left_signed,
                reason=matmul.reason,
            )
            for matmul in document.matmuls
        ],
        weights=[
            WeightLine(
                name=weight.name,
                shape=weight.shape,
                parameters=weight.parameters,
                place=weight.place,
                reason=weight.reason,
                layers=weight.layers,
            )
            for weight in document.weights_of_model
        ],
        calibration=document.calibration.source,
        calibration_samples=document.calibration.samples,
        cost=_cost_line(cost) if cost is not None else None,
        assignment=_assignment_line(document.assignment) if document.assignment is not None else None,
        largest_relative_error=max((check.largest_relative_error for check in document.verification), default=math.nan),
        checked_against=document.check.against if document.check else None,
        checked_relative_error=document.check.largest_relative_error if document.check else None,
        notes=document.notes,
        warnings=[*_warnings(plan), *no_cost],
    )


def _cost_line(cost: CostEstimate) -> CostLine:
    return CostLine(
        preset=cost.preset,
        status=cost.status,
        sizes=cost.sizes,
        energy_nj=cost.energy_nj,
        latency_ns=cost.latency_ns,
        area_mm2=cost.area_mm2,
        samples_per_second=cost.samples_per_second,
        components=cost.components,
        not_modelled=cost.not_modelled,
        assumptions=cost.assumptions,
    )


def _assignment_line(record: AssignmentRecord) -> AssignmentLine:
    def by_name(figures: list[Figure]) -> dict[str, float]:
        return {figure.name: figure.value for figure in figures}

    return AssignmentLine(
        method=record.method,
        criterion=record.criterion,
        minimise=record.minimise,
        budgets=by_name(record.budgets),
        predicted=by_name(record.predicted),
        measured=by_name(record.measured),
        compared={other.choice: by_name(other.figures) for other in record.compared},
        accuracy=record.accuracy.model_dump(mode="json") if record.accuracy is not None else None,
    )


def _layer_line(plan: Plan, layer: LayerRecord, decisions: list[str], cost: LayerCost | None) -> LayerLine:
    document = plan.document
    target = document.chip.target(layer.target)
    tile = target.tile if isinstance(target, AnalogTarget) else None
    offered = len(layer.blocks) * tile.rows * tile.columns if tile is not None else 0
    first = layer.blocks[0].tile if layer.blocks else None
    methods = {method.name: method for method in document.programming}
    return LayerLine(
        name=layer.name,
        parts=[part.weight for part in layer.parts],
        inputs=layer.inputs,
        outputs=layer.outputs,
        block_rows=len(layer.row_splits),
        block_columns=len(layer.column_splits),
        tiles=len(layer.blocks),
        utilisation=layer.inputs * layer.outputs / offered if offered else 0.0,
        target=layer.target,
        programming=layer.programming,
        devices_per_weight=2 * methods[layer.programming].pairs if layer.programming else 0,
        drift_compensation=target.drift_compensation if isinstance(target, AnalogTarget) else None,
        clip_deviations=layer.clip_deviations,
        uses=len(layer.uses),
        input_ranges=[use.input_range for use in layer.uses],
        channel_scale=layer.has_channel_scale,
        first_tile={"chip": first.chip, "row": first.row, "column": first.column} if first else None,
        energy_nj=cost.total_nj if cost is not None else None,
        latency_ns=cost.latency_ns if cost is not None else None,
        reason=layer.reason,
        decisions=decisions,
    )


def _poor_ranges(plan: Plan) -> dict[str, float]:
    """Layers on tiles that converters alone disturb a lot at the best range there is -> their simulated error."""
    on_tiles = {layer.name for layer in plan.document.layers if layer.blocks}
    found: dict[str, float] = {}
    for decision in plan.document.decisions:
        layer = decision.subject.split(" use ")[0]
        if decision.made_by == "calibrate" and layer in on_tiles:
            errors = [figure.value for figure in decision.figures if figure.name == "simulated error"]
            if errors and errors[0] > POOR:
                found[layer] = max(errors[0], found.get(layer, 0.0))
    return found


def _range_warning(layer: str, error: float) -> str:
    return (
        f"no input range suits all inputs of {layer}: converters alone disturb its outputs by {error:.0%}; a range for "
        "each vector (as on pcm-512-dynamic) or a digital unit would help"
    )


def _warnings(plan: Plan) -> list[str]:
    document = plan.document
    warnings = []
    if document.calibration.automatic:
        warnings.append(f"calibrated on an automatic set ({document.calibration.source}); your own data may differ")
    warnings += [_range_warning(layer, error) for layer, error in _poor_ranges(plan).items()]
    if document.placement.chips > 1:
        warnings.append(f"the model needs {document.placement.chips} chips; traffic between chips is not modelled")
    if not document.weights_of_model and document.model.parameters:
        warnings.append(
            "the plan is of an older version, which did not say where each parameter went; compile it again"
        )
    if not document.layers:
        warnings.append("no layer was found: nothing runs on tiles")
    return warnings
