"""The report of a plan: its figures, from nothing but the plan and what was measured of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tilewright.compiler.assignment.problem import UNITS
from tilewright.compiler.cost import CostEstimate, cost_of_usual_run
from tilewright.compiler.cost.schedule import schedule
from tilewright.compiler.report.lines import (
    AssignmentLine,
    BlockLine,
    CallLine,
    CostLine,
    LayerLine,
    MatmulLine,
    Report,
    WeightLine,
)
from tilewright.compiler.report.warnings import range_error, warnings_of
from tilewright.compiler.sensitivity.measure import kept_figures
from tilewright.runtime.measuring.kept_evaluations import kept_evaluations
from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.blocks import blocks_of, positions_of
from tilewright.runtime.plan.decisions import Amounts, AssignmentRecord, Decision
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.spec import AnalogTarget

MOST_SHOWN = 200_000
"""Tiles of which a report lists every one. A larger plan's map is a grey area, and its list larger than its weights."""


def summarise(plan: Plan) -> Report:
    """Sum up a plan for people; reads nothing but the plan, and what was measured of it in its folder.

    Raises ``InputError`` for a graph that asks for more than any network.
    """
    document = plan.document
    decisions: dict[str, list[str]] = {}
    for decision in document.decisions_in_force:
        decisions.setdefault(decision.subject, []).append(f"{_maker(decision)}: {decision.choice} ({decision.reason})")
    parameters = {
        place: sum(weight.parameters for weight in document.weights_of_model if weight.place == place)
        for place in ("analog", "look-up", "digital")
    }
    mesh = document.placement.mesh
    cost, no_cost = cost_of_usual_run(plan)
    lines = _LayerLines(plan, decisions, cost)
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
        mesh=list(mesh),
        layers=[lines.line(layer) for layer in document.layers],
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
        blocks=[line for layer in document.layers for line in _block_lines(plan, layer)]
        if document.placement.tiles <= MOST_SHOWN
        else [],
        calls=_call_lines(plan, cost),
        decisions=[decision.model_dump(mode="json") for decision in document.decisions_in_force],
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
        unused_tensors=[tensor.model_dump(mode="json") for tensor in document.unused_tensors],
        calibration=document.calibration.source,
        calibration_samples=document.calibration.samples,
        sizes={name: (one.minimum, one.maximum) for name, one in AllowedSizes.of(document).limits.items()},
        size_conditions=document.size_conditions,
        cost=_cost_line(cost) if cost is not None else None,
        assignment=_assignment_line(document.assignment) if document.assignment is not None else None,
        evaluations=kept_evaluations(plan),
        has_weights=plan.has_weights,
        largest_relative_error=max((check.largest_relative_error for check in document.verification), default=math.nan),
        checked_against=document.check.against if document.check else None,
        checked_relative_error=document.check.largest_relative_error if document.check else None,
        notes=document.notes,
        warnings=[*warnings_of(plan), *no_cost],
    )


def _maker(decision: Decision) -> str:
    return decision.made_by if decision.use is None else f"{decision.made_by}, use {decision.use}"


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
        attention_nj=cost.attention_nj,
        attention_share_of_macs=cost.attention_share_of_macs,
        with_cheaper_tiles=cost.with_cheaper_tiles(),
        not_modelled=cost.not_modelled,
        assumptions=cost.assumptions,
    )


def _assignment_line(record: AssignmentRecord) -> AssignmentLine:
    measured: dict[str, float] = {}
    if record.measured is not None:
        measured["divergence"] = record.measured.divergence
        if record.measured.standard_error is not None:
            measured["standard error"] = record.measured.standard_error
        measured |= {"chips": record.measured.chips, "seed": record.measured.seed}
    return AssignmentLine(
        method=record.method,
        criterion=record.criterion,
        minimise=record.minimise,
        budgets=_by_name(record.budgets),
        units={name: UNITS[name] for name in [*record.budgets, *record.predicted]},
        predicted=_by_name(record.predicted),
        measured=measured,
        compared={name: _by_name(amounts or {}) for name, amounts in record.compared.items()},
        accuracy=record.accuracy.model_dump(mode="json") if record.accuracy is not None else None,
    )


def _by_name(amounts: Amounts) -> dict[str, float]:
    return {name: value for name, value in amounts.items()}  # noqa: C416 (the keys are one of a few words)


def _block_lines(plan: Plan, layer: LayerRecord) -> Iterator[BlockLine]:
    target = plan.document.chip.target(layer.target)
    if not isinstance(target, AnalogTarget):
        return
    cells = int(target.tile.rows) * int(target.tile.columns)
    for block in blocks_of(layer, plan.document.chip):
        used = (block.rows[1] - block.rows[0]) * (block.columns[1] - block.columns[0]) / cells
        yield BlockLine(layer.name, *block.tile, list(block.rows), list(block.columns), used)


def _call_lines(plan: Plan, cost: CostEstimate | None) -> list[CallLine]:
    order = schedule(plan)
    times = {call.node: (call.start_ns, call.end_ns) for call in cost.calls} if cost is not None else {}
    return [
        CallLine(node, *order.called[node], list(before), *times.get(node, (0.0, 0.0)))
        for node, before in order.before.items()
    ]


class _LayerLines:
    """Makes the lines of layers, from what is known of all of them."""

    def __init__(self, plan: Plan, decisions: dict[str, list[str]], cost: CostEstimate | None) -> None:
        self.plan, self.decisions = plan, decisions
        self.whole = cost.energy_nj if cost is not None else 0.0
        self.costs = {layer.name: layer for layer in cost.layers} if cost is not None else {}
        self.methods = {method.name: method for method in plan.document.programming}
        self.kept = kept_figures(plan)

    def line(self, layer: LayerRecord) -> LayerLine:
        """One layer's."""
        option, target = layer.option, self.plan.document.chip.target(layer.target)
        tile = target.tile if isinstance(target, AnalogTarget) else None
        offered = layer.tile_count * tile.rows * tile.columns if tile is not None else 0
        first = next(positions_of(layer, self.plan.document.chip), None)
        cost = self.costs.get(layer.name)
        return LayerLine(
            name=layer.name,
            parts=[part.weight for part in layer.parts],
            inputs=layer.inputs,
            outputs=layer.outputs,
            block_rows=len(option.row_splits),
            block_columns=len(option.column_splits),
            tiles=layer.tile_count,
            utilisation=layer.inputs * layer.outputs / offered if offered else 0.0,
            target=layer.target,
            programming=option.programming,
            devices_per_weight=2 * self.methods[option.programming].pairs if option.programming else 0,
            drift_compensation=target.drift_compensation if isinstance(target, AnalogTarget) else None,
            clip_deviations=option.clip_deviations,
            uses=len(layer.uses),
            input_ranges=option.input_ranges,
            channel_scale=option.has_channel_scale,
            first_tile=first._asdict() if first else None,
            energy_nj=cost.total_nj if cost is not None else None,
            energy_share=cost.total_nj / self.whole if cost is not None and self.whole else None,
            latency_ns=cost.latency_ns if cost is not None else None,
            predicted_loss=layer.predicted_loss,
            sensitivities={name: values[layer.name] for name, values in self.kept.items() if layer.name in values},
            range_error=range_error(option),
            reason=layer.reason,
            decisions=self.decisions.get(layer.name, []),
        )
