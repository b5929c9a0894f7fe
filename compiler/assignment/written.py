"""A choice of targets made in a plan, with everything that speaks for it written down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.compiler.assignment.amounts import readable
from tilewright.compiler.assignment.problem import UNITS, Choice, Problem
from tilewright.compiler.mapping.retarget import retarget
from tilewright.runtime.plan.decisions import Alternative, AssignmentRecord, Decision, Figure
from tilewright.runtime.plan.plan import Plan

HOW = {
    "exact": "it is part of the choice with the least",
    "macs": "greedy by MACs, for little",
    "rank": "greedy by rank, for little",
}
"""How a reason begins, by method."""


@dataclass(frozen=True)
class Request:
    """What was asked for. limits: budgets in the units of ``UNITS``; seconds: after programming, of the losses."""

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
    def reason(self) -> str:
        """Why a layer is where it is."""
        limits = f" that has {self.kept}" if self.limits else ""
        return f"{HOW[self.method]} {self.minimise}{limits}; losses are by the criterion {self.criterion}"


@dataclass(frozen=True)
class Assigned:
    """A plan, what was predicted of it, and what other ways to choose come to (None where they find nothing)."""

    plan: Plan
    choice: dict[str, str]
    predicted: dict[str, float]
    compared: dict[str, dict[str, float] | None]

    @property
    def record(self) -> AssignmentRecord:
        """What the plan says of its assignment."""
        assert self.plan.document.assignment is not None
        return self.plan.document.assignment


def written(
    plan: Plan, problem: Problem, choice: Choice, others: Mapping[str, Choice | None], request: Request
) -> Assigned:
    """The plan with a choice made. others: what other methods choose, None where they find nothing."""
    decisions = {layer: _decision(problem, layer, target, request.reason) for layer, target in choice.items()}
    made = retarget(plan, decisions)
    predicted = problem.figures(choice)
    compared = {name: None if other is None else problem.figures(other) for name, other in others.items()}
    compared |= {f"all on {target}": problem.figures(uniform) for target, uniform in _uniform(problem).items()}
    compared.pop(request.method, None)
    made.document.assignment = AssignmentRecord(
        method=request.method,
        criterion=request.criterion,
        seconds=request.seconds,
        minimise=request.minimise,
        budgets=_figures(request.limits),
        predicted=_figures(predicted),
        measured=[],
        accuracy=None,
        compared=[
            Alternative(choice=name, figures=[] if figures is None else _figures(figures))
            for name, figures in compared.items()
        ],
    )
    return Assigned(made, dict(choice), predicted, compared)


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


def _decision(problem: Problem, layer: str, target: str, why: str) -> Decision:
    return Decision(
        made_by="assign_targets",
        subject=layer,
        choice=target,
        reason=why,
        figures=_figures(problem.option(layer, target).figures),
        rejected=[
            Alternative(choice=option.target, figures=_figures(option.figures))
            for option in problem.options[layer]
            if option.target != target
        ],
    )


def _figures(figures: Mapping[str, float]) -> list[Figure]:
    finite = {name: value for name, value in figures.items() if math.isfinite(value)}
    return [Figure(name=name, value=value, unit=UNITS[name]) for name, value in finite.items()]
