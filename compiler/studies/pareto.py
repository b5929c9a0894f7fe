"""pareto(): what accuracy costs, by assignments between the cheapest and the most precise one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tilewright.compiler.assignment.assign import CRITERION
from tilewright.compiler.assignment.assigned import Assigned
from tilewright.compiler.assignment.choosing import choose
from tilewright.compiler.assignment.exact import solve
from tilewright.compiler.assignment.greedy import moved_in_order
from tilewright.compiler.assignment.problem import ENERGY, LOSS, Problem, check_measures, problem_of
from tilewright.compiler.assignment.written import Request, written
from tilewright.compiler.sensitivity.measure import Sensitivity, measure_sensitivity
from tilewright.compiler.studies.study import TIMES, Study, StudyPoint, measured_points
from tilewright.compiler.studies.variations import Variant
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.workers import Workers
from tilewright.runtime.plan.decisions import UNITS
from tilewright.runtime.plan.plan import Plan, check_is_plan
from tilewright.runtime.tasks.finding import AnyTask
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_whole
from tilewright.targets.spec import Cost

MOST = 100
"""Points of one curve."""
METHODS = ("exact", "rank")


def pareto(
    plan: Plan,
    task: AnyTask | None = None,
    data: str | Path | None = None,
    *,
    points: int = 12,
    minimise: str = ENERGY,
    method: str = "exact",
    criterion: str = CRITERION,
    sizes: Mapping[str, int] | None = None,
    preset: str | Path | Cost | None = None,
    inputs: Sequence[str] | Mapping[str, Any] | None = None,
    samples: int = 32,
    time: str | float = "1mo",
    times: Sequence[str | float] = TIMES,
    workers: int | Workers = 1,
    executor: Executor | None = None,
    on_measurement: OnProgress | None = None,
    **how: Any,
) -> Study:
    """Measure assignments of layers to targets, from the cheapest to the most precise.

    plan: one whose layers have several targets. Between the two ends budgets of ``minimise`` ("energy", "latency",
    "tiles", "digital-macs" or "area") are ``points`` - 2 equal steps, and for each the choice of the least predicted
    loss is found, exactly; choices that are alike are measured once. With the method "rank" one more layer a point
    moves from its cheapest to its most precise target, the most sensitive first, until iso-accuracy holds at all times
    or there are ``points`` (FTJ thesis). The loss is the sum of the ``criterion``'s
    figures, measured with inputs, samples and time as of ``measure_sensitivity``; with a metric the inputs are those of
    ``evaluate`` too. sizes, preset: what costs are of, see ``estimate_cost``. task, data, workers, executor, and all
    else as of ``evaluate``. Each point's change is its cost, in the unit of ``minimise``.

    Raises ``InputError`` for a plan with nothing to choose, and as these functions do.
    """
    check_is_plan(plan)
    check_whole("points", points, least=2, most=MOST)
    if method not in METHODS:
        raise InputError(f"the method is {method!r}; {nearest(method, METHODS)}")
    check_measures([minimise])
    if minimise == LOSS:
        raise InputError("a curve is of the loss against a cost; minimise energy, latency, tiles, digital-macs or area")
    if not any(len(layer.options) > 1 for layer in plan.document.layers):
        raise InputError("no layer of the plan has options on two targets; compile it for a chip such as pcm-512-mixed")
    if "metric" in how:
        how["inputs"] = inputs
    with ExitStack() as stack:
        kept = workers if isinstance(workers, Workers) else stack.enter_context(Workers(workers))
        sensitivity = measure_sensitivity(
            plan, [criterion], inputs=inputs, samples=samples, task=task, data=data, limit=how.get("limit"),
            task_options=how.get("task_options"), time=time, workers=kept, executor=executor,
        )  # fmt: skip
        problem = problem_of(plan, sensitivity.of(criterion), [minimise], sizes, preset, {})
        made = _assigned(plan, sensitivity, problem, minimise, points, method)
        unit = UNITS[minimise]
        key = f"{minimise} ({unit})" if unit else minimise
        variants = [Variant(_where(one.choice), {key: one.predicted[minimise]}) for one in made]
        plans = iter([one.plan for one in made])
        found: list[StudyPoint] = measured_points(
            variants, lambda _: next(plans), task, data, kept, executor, on_measurement, {"times": times, **how},
            enough=_holds if method == "rank" else None,
        )  # fmt: skip
    return Study(f"{minimise} of {plan.document.model.name} on {plan.document.chip.name}", [key], found)


def _assigned(
    plan: Plan, sensitivity: Sensitivity, problem: Problem, minimise: str, points: int, method: str
) -> list[Assigned]:
    """Assignments to measure, each once, the cheapest first."""
    if method == "rank":
        request = Request(LOSS, {}, next(iter(sensitivity.criteria)), method, sensitivity.seconds)
        choices = {tuple(sorted(choice.items())): choice for choice in moved_in_order(problem, minimise)}
        return [
            written(plan, sensitivity, problem, choice, {method: choice}, request)
            for choice in list(choices.values())[:points]
        ]
    assigned: dict[tuple[tuple[str, str], ...], Assigned] = {}
    for budget in _budgets(problem, minimise, points):
        request = Request(LOSS, {minimise: budget}, next(iter(sensitivity.criteria)), method, sensitivity.seconds)
        made = choose(plan, sensitivity, problem, request)
        assigned.setdefault(tuple(sorted(made.choice.items())), made)
    return list(assigned.values())


def _holds(point: StudyPoint) -> bool:
    """True if iso-accuracy holds at all times; never where nobody knows chance."""
    return all(at.iso_accuracy == "holds" for at in point.evaluation.points)


def _budgets(problem: Problem, minimise: str, points: int) -> list[float]:
    """Budgets from that of the cheapest choice to that of the most precise one."""
    cheapest, precise = solve(problem, minimise, {}), solve(problem, LOSS, {})
    assert cheapest is not None  # without budgets there is always a choice
    assert precise is not None
    low, high = problem.figures(cheapest)[minimise], problem.figures(precise)[minimise]
    slack = 1 + 1e-9  # sums are rounded in another order
    return [(low + (high - low) * number / (points - 1)) * slack for number in range(points)]


def _where(choice: Mapping[str, str]) -> str:
    counts: dict[str, int] = {}
    for target in choice.values():
        counts[target] = counts.get(target, 0) + 1
    return ", ".join(f"{count} on {target}" for target, count in sorted(counts.items()))
