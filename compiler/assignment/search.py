"""The cheapest assignment whose measured accuracy passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import mean

from scipy.stats import t as student

from tilewright.compiler.assignment.amounts import readable
from tilewright.compiler.assignment.assigned import Assigned, Trial, recorded
from tilewright.compiler.assignment.choosing import chosen_criterion, make_problem, run_methods
from tilewright.compiler.assignment.exact import solve
from tilewright.compiler.assignment.problem import DIGITAL_MACS, ENERGY, LOSS, TILES, Choice
from tilewright.compiler.assignment.written import Request, written
from tilewright.compiler.sensitivity.measure import Sensitivity
from tilewright.runtime.execution.session import Session
from tilewright.runtime.measuring.evaluate import make_task
from tilewright.runtime.measuring.measurements import MeasurementLog, place_beside
from tilewright.runtime.measuring.spread import standard_error
from tilewright.runtime.plan.decisions import AccuracyRecord
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks import Task
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_repeats, check_seed
from tilewright.targets.spec import Cost
from tilewright.targets.times import parse_time

STEPS = 8
"""Assignments that are measured between the cheapest and the most precise, at most."""
ALIKE = 1.02
"""Bounds of the loss with a ratio below this are one."""
BATCH_SIZE = 64
CACHE_FILE = "accuracy.jsonl"
OnTrial = Callable[[Trial], None]
"""Called after each trial of a search."""


def search(
    plan: Plan,
    sensitivity: Sensitivity,
    wanted: float,
    *,
    task: str,
    data: str | Path,
    limit: int | None = None,
    minimise: str = ENERGY,
    criterion: str | None = None,
    confidence: float = 0.95,
    time: str | float = "1mo",
    repeats: int = 5,
    seed: int = 0,
    sizes: Mapping[str, int] | None = None,
    preset: str | Path | Cost | None = None,
    fixed: Mapping[str, str] | None = None,
    on_trial: OnTrial | None = None,
) -> Assigned:
    """Search for the least cost whose normalised accuracy A* is at least ``wanted`` with ``confidence``.

    A plan passes if the one-sided lower bound of its mean over chips (Student's t) is ``wanted`` or more. Bounds of
    the predicted loss are halved on a logarithmic scale; the cheapest that passes is measured again on chips of
    another seed, and only then taken; the next one if that fails. Measurements are kept in the plan's folder. Raises
    ``InputError`` if even the most precise assignment does not pass, with its figures.
    """
    _check(wanted, confidence, repeats, seed, minimise)
    criterion = chosen_criterion(sensitivity, criterion)
    request = Request(minimise, {}, criterion, "exact", sensitivity.seconds)
    problem = make_problem(plan, sensitivity, request, sizes, preset, fixed)

    def built(choice: Choice) -> Assigned:
        within = replace(request, limits={LOSS: problem.figures(choice)[LOSS]})
        return written(plan, sensitivity, problem, choice, run_methods(problem, within), within)

    trials: list[Trial] = []
    prepared = make_task(plan, task, data, limit)
    fingerprint = prepared.fingerprint(Path(data), limit)
    measure = _Measure(plan, prepared, fingerprint, wanted, confidence, parse_time(time), repeats)

    def tried(choice: dict[str, str], on_seed: int) -> Trial:
        trials.append(measure(built(choice).plan, choice, problem.figures(choice), on_seed))
        if on_trial:
            on_trial(trials[-1])
        return trials[-1]

    def confirmed(candidate: Trial) -> Assigned | None:
        """The candidate, measured again on chips of a seed that is new here; None if it does not pass."""
        trial = tried(candidate.choice, max(trial.seed for trial in trials) + 1)
        if not trial.passes:
            return None
        accuracy = _record(measure, trial, wanted, confidence, repeats)
        return replace(recorded(built(candidate.choice), accuracy=accuracy), trials=trials)

    cheapest, precise = solve(problem, minimise, {}), solve(problem, LOSS, {})
    assert cheapest is not None and precise is not None  # without budgets there is always a choice
    first = tried(cheapest, seed)
    found = confirmed(first) if first.passes else None
    if found is not None:
        return found
    passing = [tried(precise, seed)]
    if not passing[0].passes:
        raise InputError(_fails(passing[0], wanted, confidence))
    _halve(lambda loss: solve(problem, minimise, {LOSS: loss}), tried, passing, first, seed)
    for candidate in sorted(passing, key=lambda trial: trial.predicted[minimise]):
        found = confirmed(candidate)
        if found is not None:
            return found
    raise InputError(_fails(trials[-1], wanted, confidence))


def _check(wanted: float, confidence: float, repeats: int, seed: int, minimise: str) -> None:
    if not 0 < wanted <= 1 or not 0.5 <= confidence < 1:
        raise InputError(f"accuracy is {wanted:g} with confidence {confidence:g}; allowed are 0 to 1 and 0.5 to 1")
    check_repeats(repeats)
    check_seed(seed)
    if repeats < 2:
        raise InputError(f"repeats is {repeats}; a confidence bound needs at least 2 chips")
    if minimise == LOSS:
        raise InputError("the loss is what the accuracy limits; minimise energy, latency, tiles, digital-macs or area")


def _halve(
    cheapest_within: Callable[[float], dict[str, str] | None],
    tried: Callable[[dict[str, str], int], Trial],
    passing: list[Trial],
    failed: Trial,
    seed: int,
) -> None:
    """Add what passes between the most precise assignment, which is in ``passing``, and one that failed."""
    low, high = passing[0].predicted[LOSS], failed.predicted[LOSS]
    low = max(low, high * 1e-9)
    for _ in range(4 * STEPS):
        if high <= low * ALIKE or len(passing) > STEPS:
            return
        middle = math.sqrt(low * high)
        choice = cheapest_within(middle)
        if choice is None or any(choice == trial.choice for trial in passing):
            low = middle
            continue
        trial = tried(choice, seed)
        if trial.passes:
            passing.append(trial)
            low = middle
        else:
            high = trial.predicted[LOSS]


class _Measure:
    """Measures assignments on chips, each once."""

    def __init__(
        self, plan: Plan, task: Task, data: str, wanted: float, confidence: float, seconds: float, repeats: int
    ) -> None:
        self.task, self.wanted, self.confidence = task, wanted, confidence
        self.seconds, self.repeats = seconds, repeats
        self.log = MeasurementLog(place_beside(plan, CACHE_FILE), {"data": data, "seconds": seconds})
        key = {"plan": plan.sha256, "digital": True}
        self.digital = self.log.measure(key, lambda: task.measure(Session(plan, ideal=True), BATCH_SIZE))

    def __call__(self, plan: Plan, choice: dict[str, str], predicted: dict[str, float], seed: int) -> Trial:
        """Measure a plan on its chips. Without tiles all chips are alike, and one is enough."""
        alike = not plan.document.placement.tiles
        values = [self._chip(plan, seed, 0 if alike else repeat) for repeat in range(self.repeats)]
        normalised = [self.task.normalised(value, self.digital) for value in values]
        error = standard_error(normalised) or 0.0
        lower = mean(normalised) - float(student.ppf(self.confidence, self.repeats - 1)) * error
        return Trial(
            choice, predicted, seed, mean(values), standard_error(values) or 0.0, mean(normalised), lower,
            lower >= self.wanted,
        )  # fmt: skip

    def _chip(self, plan: Plan, seed: int, repeat: int) -> float:
        key = {"plan": plan.sha256, "seed": seed, "repeat": repeat}
        return self.log.measure(
            key, lambda: self.task.measure(Session(plan, seed, repeat=repeat).advance_to(self.seconds), BATCH_SIZE)
        )


def _record(measure: _Measure, trial: Trial, wanted: float, confidence: float, repeats: int) -> AccuracyRecord:
    return AccuracyRecord(
        metric=measure.task.metric,
        examples=measure.task.size,
        digital=measure.digital,
        mean=trial.value,
        standard_error=trial.error,
        normalised=trial.normalised,
        lower_bound=trial.lower,
        wanted=wanted,
        confidence=confidence,
        seconds=measure.seconds,
        repeats=repeats,
        seed=trial.seed,
    )


def _fails(trial: Trial, wanted: float, confidence: float) -> str:
    return (
        f"no assignment was found with A* of {wanted:.2%} or more at {confidence:.0%} confidence; the closest has "
        f"{trial.normalised:.2%}, at least {trial.lower:.2%}, with energy {readable(ENERGY, trial.predicted[ENERGY])}, "
        f"{trial.predicted[TILES]:g} tiles and {trial.predicted[DIGITAL_MACS]:.4g} digital MACs"
    )
