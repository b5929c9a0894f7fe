"""Choice of targets under budgets, from sensitivities that are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tilewright.compiler.assignment.amounts import parse_budgets, readable
from tilewright.compiler.assignment.assigned import Assigned
from tilewright.compiler.assignment.exact import closest, solve
from tilewright.compiler.assignment.greedy import GREEDY
from tilewright.compiler.assignment.problem import (
    AREA,
    ENERGY,
    LATENCY,
    LOSS,
    Problem,
    check_known,
    check_measures,
    known_preset,
    problem_of,
)
from tilewright.compiler.assignment.written import Request, written
from tilewright.compiler.sensitivity.measure import Sensitivity
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import Cost

METHODS = ("exact", *GREEDY)
COSTLY = (ENERGY, LATENCY, AREA)
"""Measures that cannot be minimised or limited without a cost preset."""
Budgets = Mapping[str, float | str]


def choose(
    plan: Plan,
    sensitivity: Sensitivity,
    *,
    minimise: str = LOSS,
    budgets: Budgets | None = None,
    criterion: str | None = None,
    method: str = "exact",
    sizes: Mapping[str, int] | None = None,
    preset: str | Path | Cost | None = None,
    fixed: Mapping[str, str] | None = None,
) -> Assigned:
    """Choose a target for every layer; arguments as of ``assign``.

    Raises ``InputError`` for budgets that no choice keeps, with what the closest one comes to.
    """
    check_method(method)
    criterion = chosen_criterion(sensitivity, criterion)
    limits = parse_budgets(budgets or {})
    request = Request(minimise, limits, criterion, method, sensitivity.seconds)
    problem = make_problem(plan, sensitivity, request, sizes, preset, fixed)
    choices = run_methods(problem, request)
    choice = choices[method]
    if choice is None:
        raise InputError(_impossible(problem, request))
    return written(plan, sensitivity, problem, choice, choices, request)


def check_method(method: str) -> None:
    """Raise ``InputError`` if there is no such method."""
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; {nearest(method, METHODS)}")


def make_problem(
    plan: Plan,
    sensitivity: Sensitivity,
    request: Request,
    sizes: Mapping[str, int] | None,
    preset: str | Path | Cost | None,
    fixed: Mapping[str, str] | None,
) -> Problem:
    """The problem, with checks of what is asked for."""
    check_measures([request.minimise, *request.limits])
    needed = any(name in COSTLY for name in (request.minimise, *request.limits))
    figures = known_preset(plan, preset, needed)
    problem = problem_of(plan, sensitivity.of(request.criterion), sizes, figures, fixed)
    check_known(problem, [request.minimise, *request.limits], figures)
    return problem


def chosen_criterion(sensitivity: Sensitivity, criterion: str | None) -> str:
    """The criterion whose figures are losses. Raises ``InputError`` if it was not measured."""
    if criterion is None:
        return next(iter(sensitivity.criteria))
    if criterion not in sensitivity.criteria:
        raise InputError(f"criterion {criterion!r} was not measured; {nearest(criterion, sensitivity.criteria)}")
    return criterion


def run_methods(problem: Problem, request: Request) -> dict[str, dict[str, str] | None]:
    """The choice of each of ``METHODS``; None where one finds none."""
    exact = solve(problem, request.minimise, request.limits)
    greedy = {name: method(problem, request.minimise, request.limits) for name, method in GREEDY.items()}
    return {"exact": exact, **greedy}


def _impossible(problem: Problem, request: Request) -> str:
    limits, method = request.limits, request.method
    if method != "exact" and solve(problem, next(iter(limits)), limits) is not None:
        return f"the greedy method {method!r} finds no assignment with {request.kept}, though there is one; use 'exact'"
    figures = problem.figures(closest(problem, limits))
    near = ", ".join(f"{name} {readable(name, figures[name])}" for name in dict.fromkeys([*limits, LOSS]))
    return f"no assignment has {request.kept}; the closest has {near}"
