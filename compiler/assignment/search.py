"""The cheapest assignment whose measured accuracy passes."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from statistics import mean
from typing import Protocol

from scipy.stats import t as student

from tilewright.compiler.assignment.amounts import readable
from tilewright.compiler.assignment.assigned import Assigned, Trial, recorded
from tilewright.compiler.assignment.choosing import run_methods
from tilewright.compiler.assignment.exact import solve
from tilewright.compiler.assignment.problem import DIGITAL_MACS, ENERGY, LOSS, TILES, Choice, Problem
from tilewright.compiler.assignment.written import Request, written
from tilewright.compiler.sensitivity.measure import Sensitivity
from tilewright.runtime.execution.session import Session
from tilewright.runtime.measuring.chip_work import Bench, Settings, TaskSource
from tilewright.runtime.measuring.measured_chips import measured_chips
from tilewright.runtime.measuring.measurements import MeasurementLog, kept_beside
from tilewright.runtime.measuring.spread import standard_error
from tilewright.runtime.measuring.workers import Workers
from tilewright.runtime.plan.decisions import AccuracyRecord
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError

STEPS = 8
"""Assignments that are measured between the cheapest and the most precise, at most."""
ALIKE = 1.02
"""Bounds of the loss with a ratio below this are one."""
BATCH_SIZE = 64
CACHE_FILE = "accuracy.jsonl"


class OnTrial(Protocol):
    """Function that is called with each ``Trial`` of a search, once it was measured."""

    def __call__(self, trial: Trial, /) -> None:
        """Take a choice of targets and what it was measured at."""


"""Called after each trial of a search."""


def search(
    plan: Plan,
    sensitivity: Sensitivity,
    problem: Problem,
    request: Request,
    measure: Measure,
    seed: int,
    on_trial: OnTrial | None = None,
) -> Assigned:
    """Search for the least of what is to be minimised whose normalised accuracy A* passes.

    A plan passes if the one-sided lower bound of its mean over chips (Student's t) is what is wanted or more. Bounds of
    the predicted loss are halved on a logarithmic scale; the cheapest that passes is measured again on chips of
    another seed, and only then taken; the next one if that fails. Measurements are kept in the plan's folder. Raises
    ``InputError`` if even the most precise assignment does not pass, with its figures.
    """
    minimise, request = request.minimise, replace(request, method="exact")

    def built(choice: Choice) -> Assigned:
        within = replace(request, limits={LOSS: problem.figures(choice)[LOSS]})
        return written(plan, sensitivity, problem, choice, run_methods(problem, within), within)

    trials: list[Trial] = []

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
        return replace(recorded(built(candidate.choice), accuracy=measure.record(trial)), trials=trials)

    cheapest, precise = solve(problem, minimise, {}), solve(problem, LOSS, {})
    assert cheapest is not None and precise is not None  # without budgets there is always a choice
    first = tried(cheapest, seed)
    found = confirmed(first) if first.passes else None
    if found is not None:
        return found
    passing = [tried(precise, seed)]
    if not passing[0].passes:
        raise InputError(measure.refusal(passing[0]))
    _halve(lambda loss: solve(problem, minimise, {LOSS: loss}), tried, passing, first, seed)
    for candidate in sorted(passing, key=lambda trial: trial.predicted[minimise]):
        found = confirmed(candidate)
        if found is not None:
            return found
    raise InputError(measure.refusal(trials[-1]))


def check_search(wanted: float, confidence: float, repeats: int, minimise: str) -> None:
    """Raise ``InputError`` for what no search for an accuracy can be made with."""
    if not 0.5 <= confidence < 1:
        raise InputError(f"accuracy is {wanted:g} with confidence {confidence:g}; allowed are 0 to 1 and 0.5 to 1")
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


class Measure:
    """Measures of assignments on labelled data, each made once.

    wanted: A* that is to be kept with ``confidence`` over chips. The examples are taken as they are: what others would
    give is not counted (``evaluate`` tells).
    """

    def __init__(
        self, plan: Plan, source: TaskSource, wanted: float, confidence: float, seconds: float, repeats: int,
        workers: int | Workers = 1, executor: Executor | None = None,
    ) -> None:  # fmt: skip
        """Measure the digital reference. seconds: after programming. workers, executor: as of ``evaluate``."""
        self.source, self.task, self.wanted, self.confidence = source, source.made(plan), wanted, confidence
        self.seconds, self.repeats, self.workers, self.executor = seconds, repeats, workers, executor
        task = self.task
        settings = {"data": task.fingerprint(), "seconds": seconds}
        settings |= {"metric": task.metric.name, "metric_version": task.metric.version}
        self.log = MeasurementLog(kept_beside(plan, CACHE_FILE)[0], settings)
        key = {"plan": plan.sha256, "digital": True}
        self.digital = self.log.measure(key, lambda: task.measure(Session(plan, ideal=True), BATCH_SIZE))

    def __call__(self, plan: Plan, choice: dict[str, str], predicted: dict[str, float], seed: int) -> Trial:
        """Measure a plan on its chips. Without tiles all chips are alike, and one is enough."""
        alike = not plan.document.placement.tiles
        values = self._chips(plan, seed, [0] if alike else list(range(self.repeats)))
        values = values * self.repeats if alike else values
        normalised = [self.task.metric.normalised(value, self.digital) for value in values]
        error = standard_error(normalised) or 0.0
        lower = mean(normalised) - float(student.ppf(self.confidence, self.repeats - 1)) * error
        return Trial(
            choice, predicted, seed, mean(values), standard_error(values) or 0.0, mean(normalised), lower,
            lower >= self.wanted,
        )  # fmt: skip

    def _chips(self, plan: Plan, seed: int, repeats: list[int]) -> list[float]:
        """Figures of these chips of a plan."""
        settings = Settings(seed, drift_compensation=True, layer_by_layer=False, batch_size=BATCH_SIZE, resamples=0)
        sha256, bench = plan.sha256, Bench(plan, self.task, settings)
        keys = {repeat: {"plan": sha256, "seed": seed, "repeat": repeat} for repeat in repeats}
        left = [repeat for repeat in repeats if self.log.known(keys[repeat]) is None]
        for repeat, found in measured_chips(
            bench, self.source, dict.fromkeys(left, (self.seconds,)), workers=self.workers, executor=self.executor
        ):
            self.log.add(keys[repeat], found)
        return [self.log.kept(keys[repeat]).value for repeat in repeats]

    def record(self, trial: Trial) -> AccuracyRecord:
        """Record for the plan, of the trial that confirmed it."""
        return AccuracyRecord(
            metric=self.task.metric.name,
            examples=self.task.size,
            digital=self.digital,
            mean=trial.value,
            standard_error=trial.error,
            normalised=trial.normalised,
            lower_bound=trial.lower,
            wanted=self.wanted,
            confidence=self.confidence,
            seconds=self.seconds,
            repeats=self.repeats,
            seed=trial.seed,
        )

    def refusal(self, trial: Trial) -> str:
        """Sentence on a search of which this trial came closest."""
        figures = trial.predicted
        return (
            f"no assignment was found with A* of {self.wanted:.2%} or more at {self.confidence:.0%} confidence; the "
            f"closest has {trial.normalised:.2%}, at least {trial.lower:.2%}, with energy "
            f"{readable(ENERGY, figures[ENERGY])}, {figures[TILES]:g} tiles and "
            f"{figures[DIGITAL_MACS]:.4g} digital MACs"
        )
