"""assign(): a plan whose layers are on the targets that budgets and sensitivities ask for, with every reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import mean

from tilewright.compiler.assignment.amounts import parse_budgets, readable
from tilewright.compiler.assignment.exact import closest, solve
from tilewright.compiler.assignment.greedy import GREEDY
from tilewright.compiler.assignment.problem import (
    AREA,
    ENERGY,
    LATENCY,
    LOSS,
    UNITS,
    Choice,
    Problem,
    check_measures,
    known_preset,
    problem_of,
)
from tilewright.compiler.retarget import retarget
from tilewright.compiler.sensitivity import Sensitivity
from tilewright.compiler.sensitivity.divergence import Divergence
from tilewright.compiler.sensitivity.samples import Samples
from tilewright.runtime.plan import Alternative, AssignmentRecord, Decision, Figure, Plan
from tilewright.runtime.session import Session
from tilewright.runtime.spread import standard_error
from tilewright.runtime.times import parse_time
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import Cost

METHODS = ("exact", *GREEDY)
COSTLY = (ENERGY, LATENCY, AREA)
"""What cannot be minimised or limited without a cost preset."""
Budgets = Mapping[str, float | str]


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


def assign(
    plan: Plan,
    sensitivity: Sensitivity,
    *,
    minimise: str = LOSS,
    budgets: Budgets | None = None,
    criterion: str | None = None,
    method: str = "exact",
    sizes: Mapping[str, int] | None = None,
    preset: str | Cost | None = None,
    fixed: Mapping[str, str] | None = None,
) -> Assigned:
    """Choose a target for every layer, among those that the plan has options for.

    sensitivity: figures of ``criterion`` (its first if None); their sum over layers is the predicted loss. minimise:
    loss, energy, latency, tiles, digital-macs or area; budgets: by the same names, numbers in nJ, ns, mm2, or text
    with a unit ("60uJ"). method: "exact", or a greedy one to compare with. sizes, preset: of what energy and latency
    are, see ``estimate_cost``. fixed: patterns of layer names -> the target they must be on. Raises ``InputError`` for
    budgets that no choice keeps, with what the closest one comes to.
    """
    criterion = chosen_criterion(sensitivity, criterion)
    limits = parse_budgets(budgets or {})
    problem = make_problem(plan, sensitivity, criterion, minimise, limits, sizes, preset, fixed)
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; {nearest(method, METHODS)}")
    choices = {name: run_method(name, problem, minimise, limits) for name in METHODS}
    choice = choices[method]
    if choice is None:
        raise InputError(_impossible(problem, limits, method))
    return apply(plan, problem, choice, choices, sensitivity, criterion, minimise, limits, method)


def make_problem(
    plan: Plan,
    sensitivity: Sensitivity,
    criterion: str,
    minimise: str,
    limits: Mapping[str, float],
    sizes: Mapping[str, int] | None,
    preset: str | Cost | None,
    fixed: Mapping[str, str] | None = None,
) -> Problem:
    """The problem, with checks of what is asked for."""
    check_measures([minimise, *limits])
    needed = any(name in COSTLY for name in (minimise, *limits))
    return problem_of(plan, sensitivity.of(criterion), sizes, known_preset(plan, preset, needed), fixed)


def chosen_criterion(sensitivity: Sensitivity, criterion: str | None) -> str:
    """The criterion whose figures are losses. Raises ``InputError`` if it was not measured."""
    if criterion is None:
        return next(iter(sensitivity.criteria))
    if criterion not in sensitivity.criteria:
        raise InputError(f"criterion {criterion!r} was not measured; {nearest(criterion, sensitivity.criteria)}")
    return criterion


def run_method(method: str, problem: Problem, minimise: str, limits: Mapping[str, float]) -> dict[str, str] | None:
    """The choice of one of ``METHODS``; None if it finds none."""
    return solve(problem, minimise, limits) if method == "exact" else GREEDY[method](problem, minimise, limits)


def _impossible(problem: Problem, limits: Mapping[str, float], method: str) -> str:
    wanted = " and ".join(f"{name} at most {readable(name, value)}" for name, value in limits.items())
    if method != "exact" and solve(problem, next(iter(limits)), limits) is not None:
        return f"the greedy method {method!r} finds no assignment with {wanted}, though there is one; use 'exact'"
    figures = problem.figures(closest(problem, limits))
    near = ", ".join(f"{name} {readable(name, figures[name])}" for name in dict.fromkeys([*limits, LOSS]))
    return f"no assignment has {wanted}; the closest has {near}"


def apply(
    plan: Plan,
    problem: Problem,
    choice: Choice,
    choices: Mapping[str, Choice | None],
    sensitivity: Sensitivity,
    criterion: str,
    minimise: str,
    limits: Mapping[str, float],
    method: str,
) -> Assigned:
    """The plan with a choice made, and everything that speaks for it written down."""
    why = _reason(minimise, limits, criterion, method)
    decisions = {layer: _decision(problem, layer, target, why) for layer, target in choice.items()}
    made = retarget(plan, decisions)
    predicted = problem.figures(choice)
    compared = {name: None if other is None else problem.figures(other) for name, other in choices.items()}
    compared |= {
        f"all on {target}": problem.figures(uniform) for target, uniform in _uniform(problem).items() if uniform
    }
    compared.pop(method, None)
    made.document.assignment = AssignmentRecord(
        method=method,
        criterion=criterion,
        seconds=sensitivity.seconds,
        minimise=minimise,
        budgets=_figures(limits),
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


def _reason(minimise: str, limits: Mapping[str, float], criterion: str, method: str) -> str:
    kept = " and ".join(f"{name} at most {readable(name, value)}" for name, value in limits.items())
    how = {"exact": "it is part of the choice with the least", "macs": "greedy by MACs, for little",
           "rank": "greedy by rank, for little"}[method]  # fmt: skip
    return f"{how} {minimise}{f' that has {kept}' if kept else ''}; losses are by the criterion {criterion}"


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


def validate(
    assigned: Assigned,
    samples: Samples,
    *,
    outputs: list[str] | None = None,
    time: str | float = "1mo",
    repeats: int = 3,
    seed: int = 1,
    on_chip: Callable[[int, int, str], None] | None = None,
) -> dict[str, float]:
    """Run the assigned plan, attention units and all, on fresh chips; what comes out goes into its record.

    seed: should be another than the one that sensitivities were measured with. Returns the divergence's mean and, of
    several chips, its standard error.
    """
    plan = assigned.plan
    divergence = Divergence(plan, samples, outputs)
    seconds, values = parse_time(time), []
    for repeat in range(repeats):
        values.append(divergence.of(Session(plan, seed, repeat=repeat).advance_to(seconds)))
        if on_chip:
            on_chip(repeat + 1, repeats, f"chip {repeat} of seed {seed}")
    error = standard_error(values)
    found = {"divergence": mean(values), **({} if error is None else {"standard error": error})}
    assigned.record.measured = [
        *(Figure(name=name, value=value, unit="1") for name, value in found.items()),
        Figure(name="chips", value=repeats, unit="chip"),
        Figure(name="seed", value=seed, unit="1"),
    ]
    return found
