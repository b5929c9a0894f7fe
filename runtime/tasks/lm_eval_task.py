"""Task of lm-evaluation-harness, measured as any other: its requests are the samples, its metric the figure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.causal_text import CausalTextEncoder, Pair
from tilewright.runtime.tasks.continuations import Answer, Continuations
from tilewright.runtime.tasks.metric import Metric
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, kind_of, shown_path

if TYPE_CHECKING:
    from tilewright.runtime.tasks.lm_eval_benchmark import Benchmark

PREFIX = "lm-eval:"
"""Beginning of the names of tasks that lm-eval has."""
ROLLING = "loglikelihood_rolling"
MOST_NAMED = 3
"""Largest number of tasks whose metrics a name spells out."""


class LmEvalTask(Continuations):
    """Task of lm-eval, or the mean of several. Labels are documents with their requests; predictions, the answers."""

    def __init__(self, plan: Plan, names: str, data: Path | None, limit: int | None) -> None:
        """Load tasks and make passes of their requests.

        names: of tasks, with commas between, each NAME or NAME:METRIC; the metric is the task's first if none is named.
        data: a folder of tasks of one's own, YAML files. limit: only the first so many documents of each task.
        Raises ``InputError`` if lm-eval is not installed, or for a task that it cannot load or that a plan cannot run.
        """
        try:
            from tilewright.runtime.tasks.lm_eval_benchmark import SEEDS, find_benchmarks, lm_eval_seeds
            from tilewright.runtime.tasks.lm_eval_model import PlanLM
        except ImportError as error:
            raise InputError(
                f"tasks of lm-eval need the package lm_eval ({error}); install it: pip install 'tilewright[lm-eval]'"
            ) from error
        if data is not None and kind_of(data) != FOLDER:
            raise InputError(f"there is no folder {shown_path(data)} to take tasks of lm-eval from")
        self.benchmarks = find_benchmarks(names, data)
        encoder = CausalTextEncoder(plan)
        pairs: list[Pair] = []

        def collect(asked: list[Pair]) -> list[Answer]:
            pairs.extend(asked)
            return [(0.0, False)] * len(asked)

        model = PlanLM(encoder, collect)
        labels: list[dict[str, Any]] = []
        self._asked: list[list[tuple[str, int, int]]] = []
        for benchmark in self.benchmarks:
            for name, task in benchmark.tasks.items():
                task.set_fewshot_seed(SEEDS[2])
                with lm_eval_seeds():
                    task.build_all_requests(limit=limit)
                by_document: dict[Any, list[Any]] = defaultdict(list)
                for request in task.instances:
                    by_document[request.doc_id].append(request)
                for requests in by_document.values():
                    places = []
                    for request in sorted(requests, key=lambda request: request.idx):
                        before = len(pairs)
                        getattr(model, request.request_type)([request], disable_tqdm=True)
                        places.append((request.request_type, before, len(pairs)))
                    self._asked.append(places)
                    labels.append(_label(benchmark.name, name, task, requests))
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
        if any((other.scale, other.larger_is_better) != (first.scale, first.larger_is_better) for other in others):
            names = ", ".join(f"{one.name} ({one.metric})" for one in self.benchmarks[:MOST_NAMED])
            raise InputError(f"a mean of {names} says nothing: measure each on its own")
        what = " and ".join(f"{one.name} {one.metric}" for one in self.benchmarks)
        if len(self.benchmarks) > MOST_NAMED:
            what = f"{len(self.benchmarks)} tasks"
        name = f"mean of {what}" if others else first.metric
        chances = [_chance(one, self.labels) for one in self.benchmarks]
        known = [chance for chance in chances if chance is not None]
        return Metric(
            f"{name}, %" if first.scale != 1 else name,
            self._figure,
            mean(known) if len(known) == len(chances) else None,
            first.larger_is_better,
            each=self._each if not others and first.averages else None,
        )

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


def _label(benchmark: str, name: str, task: Any, requests: Sequence[Any]) -> dict[str, Any]:
    """A document with its requests: what a fingerprint is made of, beside the tokens."""
    return {
        "benchmark": benchmark,
        "task": name,
        "version": str(task.VERSION),
        "document": requests[0].doc,
        "requests": [list(request.args) for request in requests],
    }


def _chance(benchmark: Benchmark, labels: Sequence[dict[str, Any]]) -> float | None:
    """Figure of guesses among the choices; None where answers are not choices with one right one."""
    from tilewright.runtime.tasks.lm_eval_benchmark import IN_PERCENT

    tasks = benchmark.tasks.values()
    if benchmark.metric not in IN_PERCENT or any(
        task.OUTPUT_TYPE != "multiple_choice" or getattr(task, "multiple_target", 0) for task in tasks
    ):
        return None
    counts = [
        len(benchmark.tasks[label["task"]].doc_to_choice(label["document"]))
        for label in labels
        if label["benchmark"] == benchmark.name
    ]
    return mean(100 / count for count in counts)
