"""assign(): which layer runs on which target, from the first measurement to the plan that was run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tilewright.compiler.assignment.amounts import parse_budgets, parse_share
from tilewright.compiler.assignment.assigned import Assigned
from tilewright.compiler.assignment.choosing import check_method, choose, chosen_criterion
from tilewright.compiler.assignment.problem import ENERGY, LOSS, check_measures
from tilewright.compiler.assignment.search import OnTrial, search
from tilewright.compiler.assignment.validation import validate as run_on_fresh_chips
from tilewright.compiler.mapping.overrides import chosen_for, names_of_layers
from tilewright.compiler.sensitivity.measure import Sensitivity, measure_sensitivity
from tilewright.compiler.sensitivity.samples import Samples, samples_of, takes_text
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_repeats, check_seed
from tilewright.targets.spec import Cost

CRITERION = "gradient"
"""Criterion whose figures are losses if none is named: it costs a few runs, and ranks layers well."""
OnStep = Callable[[int, int, str], None]
"""Called after each measurement with how many are done, how many there are, and what it was."""


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
    task: str | None = None,
    data: str | Path | None = None,
    limit: int | None = None,
    time: str | float = "1mo",
    repeats: int = 5,
    seed: int = 0,
    validate: bool = True,
    on_step: OnStep | None = None,
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
    ``outputs``, ``task``, ``data``, ``limit``, ``time``, ``repeats`` and ``seed`` as ``measure_sensitivity`` takes
    them. method: "exact", or "macs" or "rank", which are greedy. sizes, preset: what energy and latency are of, see
    ``estimate_cost``.

    validate: run the new plan at ``time`` on ``repeats`` chips of ``seed`` + 1, which had no part in the choice, where
    inputs are given or the plan takes text; the divergence stands in ``Assigned.record``. on_step: called after each
    measurement of a layer or chip with (done, of how many, what); on_trial: with each ``Trial`` of a search.

    Raises ``InputError`` for budgets or an accuracy that no choice keeps, with what the closest one comes to, and for
    names and numbers that are not allowed.
    """
    share = None if accuracy is None else parse_share(accuracy, "accuracy")
    if share is not None and (task is None or data is None):
        raise InputError(f"accuracy {accuracy} is measured on labelled data: name a task and its data")
    if share is not None and budgets:
        raise InputError(f"accuracy {accuracy} searches for the least cost by itself, and takes no budgets")
    parse_budgets(budgets or {})
    check_measures([] if minimise is None else [minimise])
    check_method(method)
    chosen_for(names_of_layers(plan.document.layers), fixed or {}, "target")
    check_repeats(repeats)
    check_seed(seed)
    if sensitivity is None:
        sensitivity = measure_sensitivity(
            plan, [criterion or CRITERION], inputs=inputs, samples=samples, outputs=outputs, task=task, data=data,
            limit=limit, time=time, repeats=repeats, seed=seed, on_figure=on_step,
        )  # fmt: skip
    criterion = chosen_criterion(sensitivity, criterion)
    if share is None:
        made = choose(
            plan, sensitivity, minimise=minimise or LOSS, budgets=budgets, criterion=criterion, method=method,
            sizes=sizes, preset=preset, fixed=fixed,
        )  # fmt: skip
    else:
        assert task is not None and data is not None
        made = search(
            plan, sensitivity, share, task=task, data=data, limit=limit, minimise=minimise or ENERGY,
            criterion=criterion, confidence=confidence, time=time, repeats=repeats, seed=seed, sizes=sizes,
            preset=preset, fixed=fixed, on_trial=on_trial,
        )  # fmt: skip
    taken = _samples(plan, inputs, samples) if validate else None
    if taken is not None:
        made = run_on_fresh_chips(
            made, taken, outputs=list(outputs) if outputs else None, time=time, repeats=repeats, seed=seed + 1,
            on_chip=on_step,
        )  # fmt: skip
    return made


def _samples(plan: Plan, inputs: Sequence[str] | Mapping[str, Any] | None, count: int) -> Samples | None:
    """The samples to validate on; None where there are none, or nothing that can be run."""
    if not plan.has_weights or (inputs is None and not takes_text(plan)):
        return None
    return samples_of(plan, inputs, count)
