"""A choice of targets made in a plan, with everything that speaks for it written down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tilewright.compiler.assignment.amounts import readable
from tilewright.compiler.assignment.assigned import Assigned
from tilewright.compiler.assignment.problem import LOSS, Choice, Problem
from tilewright.compiler.mapping.retarget import Move, retarget
from tilewright.compiler.sensitivity.measure import Sensitivity
from tilewright.runtime.plan.decisions import UNITS, AssignmentRecord, Decision, Figure
from tilewright.runtime.plan.plan import Plan

HOW = {
    "exact": "it is part of the choice with the least",
    "macs": "greedy by MACs, for little",
    "rank": "greedy by rank, for little",
}
"""Beginning of a reason, by method."""


@dataclass(frozen=True)
class Request:
    """Request for an assignment. limits: budgets in the units of ``UNITS``; seconds: time of the losses."""

    minimise: str
    limits: Mapping[str, float]
    criterion: str
    method: str
    seconds: float

    @property
    def kept(self) -> str:
        """The budgets in words."""
        return " and ".join(f"{name} at most {readable(name, value)}" for name, value in self.limits.items())

    @property
    def why(self) -> str:
        """Reason why a layer is where it is."""
        limits = f" that has {self.kept}" if self.limits else ""
        return f"{HOW[self.method]} {self.minimise}{limits}; losses are by the criterion {self.criterion}"


def written(
    plan: Plan,
    sensitivity: Sensitivity,
    problem: Problem,
    choice: Choice,
    others: Mapping[str, Choice | None],
    request: Request,
) -> Assigned:
    """The plan with a choice made. others: what other methods choose, None where they find nothing."""
    made = retarget(plan, {layer: _move(problem, layer, target, request.why) for layer, target in choice.items()})
    predicted = problem.figures(choice)
    compared = {name: None if other is None else problem.figures(other) for name, other in others.items()}
    compared |= {f"all on {target}": problem.figures(uniform) for target, uniform in _uniform(problem).items()}
    compared.pop(request.method, None)
    record = AssignmentRecord(
        method=request.method,
        criterion=request.criterion,
        seconds=request.seconds,
        minimise=request.minimise,
        budgets=_finite(request.limits),
        predicted=_finite(predicted),
        measured=None,
        accuracy=None,
        compared={name: None if figures is None else _finite(figures) for name, figures in compared.items()},
    )
    document = made.document.model_copy(update={"assignment": record})
    return Assigned(replace(made, document=document), dict(choice), predicted, compared, plan, sensitivity)


def _uniform(problem: Problem) -> dict[str, dict[str, str]]:
    """Every layer on one target, for each target that all layers may run on; what has one option stays there."""
    targets = dict.fromkeys(option.target for options in problem.options.values() for option in options)
    found: dict[str, dict[str, str]] = {}
    for target in targets:
        choice = {}
        for layer, options in problem.options.items():
            names = [option.target for option in options]
            if target not in names and len(names) > 1:
                break
            choice[layer] = target if target in names else names[0]
        else:
            found[target] = choice
    return found


def _move(problem: Problem, layer: str, target: str, why: str) -> Move:
    figures = {option.target: _figures(option.figures) for option in problem.options[layer]}
    decision = Decision.among(figures, target, made_by="assign_targets", subject=layer, reason=why)
    return Move(target, why, decision, problem.option(layer, target).figures[LOSS])


def _finite(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures that are known."""
    return {name: value for name, value in figures.items() if math.isfinite(value)}


def _figures(figures: Mapping[str, float]) -> list[Figure]:
    return [Figure(name=name, value=value, unit=UNITS[name]) for name, value in _finite(figures).items()]
