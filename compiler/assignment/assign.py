"""assign(): which layer runs on which target, from the first measurement to the plan that was run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from statistics import mean
from typing import Any

from tilewright.compiler.assignment.amounts import parse_budgets
from tilewright.compiler.assignment.assigned import Assigned, recorded
from tilewright.compiler.assignment.choosing import METHODS, choose
from tilewright.compiler.assignment.problem import ENERGY, LOSS, check_measures, problem_of
from tilewright.compiler.assignment.search import Measure, OnTrial, check_search, search
from tilewright.compiler.assignment.written import Request
from tilewright.compiler.mapping.overrides import chosen_for, names_of_layers
from tilewright.compiler.mapping.retarget import option_of
from tilewright.compiler.sensitivity.figure_work import (
    DivergenceWork,
    SentSetting,
    SettingSource,
    measured_divergence,
)
from tilewright.compiler.sensitivity.measure import Sensitivity, measure_sensitivity
from tilewright.compiler.sensitivity.samples import takes_text
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.chip_work import TaskSource
from tilewright.runtime.measuring.sent_plan import plan_for, session_memory
from tilewright.runtime.measuring.spread import standard_error
from tilewright.runtime.measuring.workers import Workers, do_all
from tilewright.runtime.plan.decisions import MeasuredRecord
from tilewright.runtime.plan.plan import Plan, check_is_plan
from tilewright.runtime.tasks import Task
from tilewright.runtime.tasks.finding import AnyTask
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_flags, check_repeats, check_seed
from tilewright.targets.shares import parse_share
from tilewright.targets.spec import Cost
from tilewright.targets.times import parse_time

CRITERION = "gradient"
"""Criterion whose figures are losses if none is named: it costs a few runs, and ranks layers well."""
NEXT_SEEDS = 1000
"""Seeds behind the one given that a search and the validation may take, at most."""


def assign(
    plan: Plan,
    sensitivity: Sensitivity | None = None,
    *,
    minimise: str | None = None,
    budgets: Mapping[str, float | str] | None = None,
    accuracy: float | str | None = None,
    confidence: float = 0.95,
    fixed: Mapping[str, str] | None = None,
    criterion: str | None = None,
    method: str = "exact",
    sizes: Mapping[str, int] | None = None,
    preset: str | Path | Cost | None = None,
    inputs: Sequence[str] | Mapping[str, Any] | None = None,
    samples: int = 32,
    outputs: Sequence[str] | None = None,
    task: AnyTask | None = None,
    data: str | Path | None = None,
    limit: int | None = None,
    task_options: Mapping[str, Any] | None = None,
    time: str | float = "1mo",
    repeats: int = 5,
    seed: int = 0,
    validate: bool = True,
    workers: int | Workers = 1,
    executor: Executor | None = None,
    on_step: OnProgress | None = None,
    on_trial: OnTrial | None = None,
) -> Assigned:
    """Choose a target for every layer among those that the plan has options for, and measure what comes of it.

    What is asked for: the least of ``minimise`` ("loss", "energy", "latency", "tiles", "digital-macs" or "area") under
    ``budgets``, by the same names: numbers in nJ, ns, tiles, MACs and mm2, or text with a unit ("60uJ"). Or an
    ``accuracy`` (0.99 or "99%" of the digital reference's) of ``task`` on ``data``, which must be kept with
    ``confidence`` over chips: then the least of ``minimise`` is searched for. ``minimise`` is the loss if None, the
    energy with an accuracy. fixed: patterns of layer names -> the target they must be on.

    How: the predicted loss is the sum over layers of ``sensitivity`` figures of one ``criterion`` (its first if None).
    They are measured here if not given, by "gradient" if no criterion is named, with ``inputs``, ``samples``,
    ``outputs``, ``task``, ``data``, ``limit``, ``task_options``, ``time``, ``repeats`` and ``seed`` as
    ``measure_sensitivity`` takes them. method: "exact", or "macs" or "rank", which are greedy. sizes, preset: what
    energy and latency are of, see ``estimate_cost``.

    validate: run the new plan at ``time`` on ``repeats`` chips of ``seed`` + 1, which had no part in the choice, where
    inputs are given or the plan takes text; the divergence stands in ``Assigned.record``. workers, executor: as of
    ``evaluate``. on_step: called after each measurement of a layer or chip with (done, of how many, what); on_trial:
    with each ``Trial`` of a search.

    Raises ``InputError`` for budgets or an accuracy that no choice keeps, with what the closest one comes to, and for
    names and numbers that are not allowed.
    """
    check_is_plan(plan)
    wanted = None if accuracy is None else parse_share(accuracy, "accuracy")
    if wanted is not None and (task is None or (data is None and not isinstance(task, Task))):
        raise InputError(f"accuracy {accuracy} is measured on labelled data: name a task and its data")
    if wanted is not None and budgets:
        raise InputError(f"accuracy {accuracy} searches for the least cost by itself, and takes no budgets")
    limits = parse_budgets(budgets or {})
    minimise = minimise or (LOSS if wanted is None else ENERGY)
    check_measures([minimise])
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; {nearest(method, METHODS)}")
    layers = plan.document.layers
    asked_for = chosen_for(names_of_layers(layers), fixed or {}, "target")
    stay = {one.name: option_of(one, asked_for[one.name][0]).target for one in layers if one.name in asked_for}
    check_repeats(repeats)
    check_flags(validate=validate)
    check_seed(seed, after=NEXT_SEEDS)
    if wanted is not None:
        check_search(wanted, confidence, repeats, minimise)
    if sensitivity is None:
        sensitivity = measure_sensitivity(
            plan, [criterion or CRITERION], inputs=inputs, samples=samples, outputs=outputs, task=task, data=data,
            limit=limit, task_options=task_options, time=time, repeats=repeats, seed=seed, workers=workers,
            executor=executor, on_figure=on_step,
        )  # fmt: skip
    criterion = criterion or next(iter(sensitivity.criteria))
    if criterion not in sensitivity.criteria:
        raise InputError(f"criterion {criterion!r} was not measured; {nearest(criterion, sensitivity.criteria)}")
    request = Request(minimise, limits, criterion, method, sensitivity.seconds)
    problem = problem_of(plan, sensitivity.of(criterion), [minimise, *limits], sizes, preset, stay)
    if wanted is None:
        made = choose(plan, sensitivity, problem, request)
    else:
        assert task is not None
        source = TaskSource(task, None if data is None else Path(data).absolute(), limit, task_options)
        measure = Measure(plan, source, wanted, confidence, parse_time(time), repeats, workers, executor)
        made = search(plan, sensitivity, problem, request, measure, seed, on_trial)
    if validate and plan.has_weights and (inputs is not None or takes_text(plan)):
        of = SettingSource(inputs, samples, outputs, parse_time(time), repeats, seed + 1)
        made = _validated(made, of, workers, executor, on_step)
    return made


def _validated(
    made: Assigned, source: SettingSource, workers: int | Workers, executor: Executor | None, on_step: OnProgress | None
) -> Assigned:
    """The assignment with what its plan, attention units and all, does on chips that had no part in the choice."""
    values: dict[int, float] = {}
    setting, memory = source.made(made.plan), session_memory(made.plan)
    with plan_for(made.plan, source, source.repeats, workers, executor) as plan:
        there = None if plan is None else SentSetting(plan, source)
        works = [DivergenceWork(there or setting, repeat) for repeat in range(source.repeats)]
        found = do_all(measured_divergence, works, workers=workers, executor=executor, memory=memory)
        for done, (number, value) in enumerate(found, start=1):
            values[number] = value
            if on_step:
                on_step(done, source.repeats, f"chip {number} of seed {source.seed}")
    ordered = [values[number] for number in sorted(values)]
    measured = MeasuredRecord(
        divergence=mean(ordered), standard_error=standard_error(ordered), chips=source.repeats, seed=source.seed
    )
    return recorded(made, measured=measured)
