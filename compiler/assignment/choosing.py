"""Choice of targets under budgets, by each of the methods there are."""

from __future__ import annotations

from tilewright.compiler.assignment.amounts import readable
from tilewright.compiler.assignment.assigned import Assigned
from tilewright.compiler.assignment.exact import closest, solve
from tilewright.compiler.assignment.greedy import GREEDY
from tilewright.compiler.assignment.problem import LOSS, Problem
from tilewright.compiler.assignment.written import Request, written
from tilewright.compiler.sensitivity.measure import Sensitivity
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError

METHODS = {"exact": solve, **GREEDY}
"""Methods by name. Each takes a problem, what to minimise, and budgets, and returns None where it finds no choice."""


def choose(plan: Plan, sensitivity: Sensitivity, problem: Problem, request: Request) -> Assigned:
    """Choose a target for every layer.

    Raises ``InputError`` for budgets that no choice keeps, with what the closest one comes to.
    """
    choices = run_methods(problem, request)
    choice = choices[request.method]
    if choice is None:
        raise InputError(_impossible(problem, request))
    return written(plan, sensitivity, problem, choice, choices, request)


def run_methods(problem: Problem, request: Request) -> dict[str, dict[str, str] | None]:
    """The choice of each of ``METHODS``; None where one finds none."""
    return {name: method(problem, request.minimise, request.limits) for name, method in METHODS.items()}


def _impossible(problem: Problem, request: Request) -> str:
    limits, method = request.limits, request.method
    if method != "exact" and solve(problem, next(iter(limits)), limits) is not None:
        return f"the greedy method {method!r} finds no assignment with {request.kept}, though there is one; use 'exact'"
    figures = problem.figures(closest(problem, limits))
    near = ", ".join(f"{name} {readable(name, figures[name])}" for name in dict.fromkeys([*limits, LOSS]))
    return f"no assignment has {request.kept}; the closest has {near}"
