"""Task of lm-evaluation-harness, measured as any other: its requests are the samples, its metric the figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.language.causal_text import CausalTextEncoder, Pair
from tilewright.runtime.tasks.language.continuations import Answer, Continuations
from tilewright.runtime.tasks.metric import Metric
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, kind_of, shown_path

if TYPE_CHECKING:
    from tilewright.runtime.tasks.language.lm_eval_benchmark import Benchmark

PREFIX = "lm-eval:"
"""Beginning of the names of tasks that lm-eval has."""
ROLLING = "loglikelihood_rolling"
MOST_NAMED = 3
"""Largest number of tasks whose metrics a name spells out."""


class LmEvalTask(Continuations):
    """Task of lm-eval, or the mean of several. Labels are documents with their requests; predictions, the answers."""

    def __init__(
        self, plan: Plan, names: str, data: Path | None, limit: int | None, *, max_length: int | None = None
    ) -> None:
        """Load tasks and make passes of their requests.

        names: of tasks, with commas between, each NAME or NAME:METRIC; the metric is the task's first if none is named.
        data: a folder of tasks of one's own, YAML files. limit: only the first so many documents of each task.
        max_length: tokens that are read at once; the model's own number if None.
        Raises ``InputError`` if lm-eval is not installed, or for a task that it cannot load or that a plan cannot run.
        """
        try:
            from tilewright.runtime.tasks.language.lm_eval_benchmark import find_benchmarks
            from tilewright.runtime.tasks.language.lm_eval_model import PlanLM
        except ImportError as error:
            raise InputError(
                f"tasks of lm-eval need the package lm_eval ({error}); install it: pip install 'tilewright[lm-eval]'"
            ) from error
        if data is not None and kind_of(data) != FOLDER:
            raise InputError(f"there is no folder {shown_path(data)} to take tasks of lm-eval from")
        self.benchmarks = find_benchmarks(names, data)
        encoder, pairs = CausalTextEncoder(plan, max_length), list[Pair]()

        def collected(asked: list[Pair]) -> list[Answer]:
            pairs.extend(asked)
            return [(0.0, False)] * len(asked)

        model = PlanLM(encoder, collected)
        labels: list[dict[str, Any]] = []
        self._asked: list[list[tuple[str, int, int]]] = []
        for benchmark in self.benchmarks:
            for task, requests in benchmark.documents(limit):
                self._asked.append([])
                for request in requests:
                    before = len(pairs)
                    getattr(model, request.request_type)([request], disable_tqdm=True)
                    self._asked[-1].append((request.request_type, before, len(pairs)))
                labels.append(_label(benchmark, task, requests))
        super().__init__(encoder, pairs)
        self.labels = labels
        self.metric = self._metric()

    def predictions(self, kept: Sequence[Tensor]) -> list[Any]:
        """Answers to the requests of each document: log-likelihood and whether likeliest, or that of a whole text."""
        answers = super().predictions(kept)

        def answer(kind: str, start: int, end: int) -> Any:
            return sum(likelihood for likelihood, _ in answers[start:end]) if kind == ROLLING else answers[start]

        return [[answer(*place) for place in places] for places in self._asked]

    def _metric(self) -> Metric:
        first, *others = self.benchmarks
        if len({one.metric for one in self.benchmarks}) > 1 and any(one.scale == 1 for one in self.benchmarks):
            names = ", ".join(f"{one.name} ({one.metric})" for one in self.benchmarks[:MOST_NAMED])
            raise InputError(f"a mean of {names} says nothing: measure each on its own")
        what = " and ".join(f"{one.name} {one.metric}" for one in self.benchmarks)
        if len(self.benchmarks) > MOST_NAMED:
            what = f"{len(self.benchmarks)} tasks"
        name = f"mean of {what}" if others else first.metric
        chances = [self._chance(one) for one in self.benchmarks]
        known = [chance for chance in chances if chance is not None]
        return Metric(
            f"{name}, %" if first.scale != 1 else name,
            self._figure,
            mean(known) if len(known) == len(chances) else None,
            first.larger_is_better,
            each=self._each if not others and first.averages else None,
        )

    def _chance(self, benchmark: Benchmark) -> float | None:
        """Figure of guesses among the choices."""
        own = [label for label in self.labels if label["benchmark"] == benchmark.name]
        counts = [benchmark.choices(label["task"], label["document"]) for label in own]
        return mean(100 / count for count in counts if count) if all(counts) else None

    def _figure(self, predictions: Sequence[Any], labels: Sequence[dict[str, Any]]) -> float:
        values: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
        for label, value in zip(labels, self._values(predictions, labels), strict=True):
            if value is not None:
                values[label["benchmark"]][label["task"]].append(value)
        return mean(one.figure(values[one.name]) for one in self.benchmarks)

    def _values(self, predictions: Sequence[Any], labels: Sequence[dict[str, Any]]) -> list[Any]:
        by_name = {one.name: one for one in self.benchmarks}
        return [
            by_name[label["benchmark"]].value(label["task"], label["document"], answers)
            for label, answers in zip(labels, predictions, strict=True)
        ]

    def _each(self, predictions: Sequence[Any], labels: Sequence[dict[str, Any]]) -> list[float]:
        return [self.benchmarks[0].scale * float(value) for value in self._values(predictions, labels)]


def _label(benchmark: Benchmark, task: str, requests: Sequence[Any]) -> dict[str, Any]:
    """A document with its requests: with the tokens, what the fingerprint is made of."""
    return {
        "benchmark": benchmark.name,
        "metric": benchmark.metric,
        "task": task,
        "version": str(benchmark.tasks[task].VERSION),
        "document": requests[0].doc,
        "requests": [list(request.args) for request in requests],
    }
