"""Summary of a plan: its figures, from nothing but the plan and what was measured of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tilewright.compiler.cost.estimate import CostEstimate, cost_of_usual_run
from tilewright.compiler.cost.schedule import schedule
from tilewright.compiler.report.layer_table import ReportedLayer
from tilewright.compiler.report.report import BlockLine, CallLine, Report
from tilewright.compiler.report.warnings import warnings_of
from tilewright.compiler.sensitivity.measure import kept_figures
from tilewright.runtime.measuring.kept_evaluations import kept_evaluations
from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.blocks import blocks_of, positions_of
from tilewright.runtime.plan.decisions import Decision
from tilewright.runtime.plan.plan import Plan, check_is_plan
from tilewright.targets.spec import AnalogTarget

MOST_SHOWN = 200_000
"""Tiles of which a report lists every one. A larger plan's map is a grey area, and its list larger than its weights."""


def summarise(plan: Plan) -> Report:
    """Sum up a plan for people; reads nothing but the plan, and what was measured of it in its folder.

    Raises ``InputError`` for a graph that asks for more than any network.
    """
    check_is_plan(plan)
    document, placement = plan.document, plan.document.placement
    decisions = document.decisions_in_force
    cost, no_cost = cost_of_usual_run(plan)
    parameters = dict.fromkeys(("analog", "look-up", "digital"), 0)
    for weight in document.weights_of_model:
        parameters[weight.place] += weight.parameters
    return Report(
        model=document.model.name,
        architecture=document.model.architecture,
        model_sha256=document.model.sha256,
        target=document.chip.name,
        target_summary=document.chip.summary,
        tiles=placement.tiles,
        chips=placement.chips,
        tiles_per_chip=math.prod(placement.mesh),
        mesh=list(placement.mesh),
        utilisation=placement.utilisation,
        parameters=document.model.parameters,
        parameters_on_tiles=parameters["analog"],
        parameters_look_up=parameters["look-up"],
        parameters_digital=parameters["digital"],
        layers=_layers(plan, decisions, cost),
        matmuls=document.matmuls,
        blocks=list(_blocks(plan)) if placement.tiles <= MOST_SHOWN else [],
        calls=_calls(plan, cost),
        decisions=decisions,
        weights=document.weights_of_model,
        unused_tensors=document.unused_tensors,
        calibration=document.calibration.source,
        calibration_samples=document.calibration.samples,
        sizes={name: (one.minimum, one.maximum) for name, one in AllowedSizes.of(document).limits.items()},
        size_conditions=document.size_conditions,
        cost=cost,
        assignment=document.assignment,
        adapters=document.adapters,
        evaluations=kept_evaluations(plan),
        has_weights=plan.has_weights,
        largest_relative_error=max((check.largest_relative_error for check in document.verification), default=math.nan),
        checked_against=document.check.against if document.check else None,
        checked_relative_error=document.check.largest_relative_error if document.check else None,
        notes=document.notes,
        warnings=[*warnings_of(plan), *no_cost],
    )


def _layers(plan: Plan, decisions: list[Decision], run: CostEstimate | None) -> list[ReportedLayer]:
    document, chip, kept = plan.document, plan.document.chip, kept_figures(plan)
    costs = {layer.name: layer for layer in run.layers} if run is not None else {}
    methods = {method.name: method for method in document.programming}
    about: dict[str, list[Decision]] = {layer.name: [] for layer in document.layers}
    for decision in decisions:
        if decision.subject in about:
            about[decision.subject].append(decision)
    return [
        ReportedLayer(
            record=layer,
            hardware=chip.target(layer.target),
            method=methods[layer.option.programming] if layer.option.programming else None,
            first=next(positions_of(layer, chip), None),
            run=run,
            cost=costs.get(layer.name),
            sensitivities={name: values[layer.name] for name, values in kept.items() if layer.name in values},
            decided=about[layer.name],
            is_calibrated=plan.has_weights,
        )
        for layer in document.layers
    ]


def _blocks(plan: Plan) -> Iterator[BlockLine]:
    chip = plan.document.chip
    for layer in plan.document.layers:
        target = chip.target(layer.target)
        if isinstance(target, AnalogTarget):
            cells = int(target.tile.rows) * int(target.tile.columns)
            for block in blocks_of(layer, chip):
                used = (block.rows[1] - block.rows[0]) * (block.columns[1] - block.columns[0]) / cells
                yield BlockLine(layer.name, *block.tile, list(block.rows), list(block.columns), used)


def _calls(plan: Plan, cost: CostEstimate | None) -> list[CallLine]:
    order = schedule(plan)
    times = {call.node: (call.start_ns, call.end_ns) for call in cost.calls} if cost is not None else {}
    return [
        CallLine(node, *order.called[node], list(before), *times.get(node, (0.0, 0.0)))
        for node, before in order.before.items()
    ]
