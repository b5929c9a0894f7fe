"""Tasks of lm-evaluation-harness: loaded by name, with lm-eval's own metric of what a model answers."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import shown_path

IN_PERCENT = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match", "em")
"""Metrics of lm-eval that are shares of the examples; shown in %."""
UNFILTERED = "none"
"""Name of lm-eval's filter that changes no answer."""
SEEDS = (0, 1234, 1234)
"""lm-eval's own seeds: of random, of numpy, and of the examples that are shown before a question."""


@dataclass(frozen=True)
class Benchmark:
    """A task of lm-eval, or a group that has a figure of its own, with one metric.

    name: lm-eval's. metric: name of the metric. tasks: lm-eval's objects by name. group: lm-eval's object of the group;
    None for a task.
    """

    name: str
    metric: str
    tasks: Mapping[str, Any]
    group: Any | None = None

    @property
    def larger_is_better(self) -> bool:
        """False for a perplexity."""
        return all(task.higher_is_better().get(self.metric, True) for task in self.tasks.values())

    @property
    def scale(self) -> float:
        """Factor from lm-eval's figure to the one that is shown."""
        return 100.0 if self.metric in IN_PERCENT else 1.0

    @property
    def averages(self) -> bool:
        """True if the figure is the mean of a number an example."""
        from lm_eval.api.registry import get_aggregation

        (task,) = [*self.tasks.values()][:1]
        return self.group is None and task.aggregation().get(self.metric) is get_aggregation("mean")

    def documents(self, limit: int | None) -> Iterator[tuple[str, list[Any]]]:
        """Name of the task, and lm-eval's requests, of each document. limit: the first so many of each task."""
        for name, task in self.tasks.items():
            task.set_fewshot_seed(SEEDS[2])
            with _running(f"make requests of task {name!r}"):
                task.build_all_requests(limit=limit)
            by_document: dict[Any, list[Any]] = defaultdict(list)
            for request in task.instances:
                by_document[request.doc_id].append(request)
            for requests in by_document.values():
                yield name, sorted(requests, key=lambda request: request.idx)

    def choices(self, task: str, doc: Any) -> int | None:
        """Number of choices of a document, one of them right; None if the metric is no share of right choices."""
        kind, several = self.tasks[task].OUTPUT_TYPE, getattr(self.tasks[task], "multiple_target", 0)
        if self.metric not in IN_PERCENT or kind != "multiple_choice" or several:
            return None
        return len(self.tasks[task].doc_to_choice(doc))

    def value(self, task: str, doc: Any, answers: Sequence[Any]) -> Any:
        """lm-eval's value of the metric for one document, of the answers to its requests; None if it gives none."""
        return self.tasks[task].process_results(doc, answers).get(self.metric)

    def figure(self, values: Mapping[str, Sequence[Any]]) -> float:
        """The figure of the documents' values by task, as lm-eval aggregates them."""
        figures = {name: self.tasks[name].aggregation()[self.metric](found) for name, found in values.items() if found}
        if self.group is None:
            return self.scale * float(figures[self.name])
        key = f"{self.metric},{UNFILTERED}"
        grouped = self.group.aggregate(
            {name: {key: value, "sample_len": len(values[name])} for name, value in figures.items()}
        )
        return self.scale * float(grouped[key])


def find_benchmarks(names: str, folder: Path | None) -> list[Benchmark]:
    """Benchmarks of names with commas between, each NAME or NAME:METRIC; a name may be of several tasks.

    folder: of tasks of one's own, YAML files, whose Python functions are run. Raises ``InputError`` for a name that
    lm-eval does not know, a metric that the task does not have, and data that are not at hand.
    """
    wanted = [given.strip().partition(":") for given in names.split(",")]
    manager = _manager([name for name, _, _ in wanted], folder)
    found = [one for name, _, metric in wanted for one in _of_name(manager, name, metric)]
    twice = next((name for name, count in Counter(one.name for one in found).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"task {twice!r} is named twice")
    return found


def _manager(names: Sequence[str], folder: Path | None) -> Any:
    """lm-eval's manager of tasks that knows these. Its own fourteen thousand take seconds, so only where needed."""
    from lm_eval.tasks import TaskManager

    path = str(folder) if folder is not None else None
    with _running(f"read the tasks in {shown_path(folder)}" if folder else "read its own tasks"):
        if folder is not None:
            manager = TaskManager(include_path=path, include_defaults=False)
            if set(names) <= set(manager.all_subtasks):
                return manager
        manager = TaskManager(include_path=path)
    for name in names:
        if name not in manager.all_tasks:
            close = get_close_matches(name, manager.all_tasks, n=1)
            guess = f"did you mean {close[0]!r}?" if close else "`lm_eval ls tasks` lists all"
            raise InputError(f"lm-eval has no task {name!r}; {guess}")
    return manager


def _of_name(manager: Any, name: str, metric: str) -> list[Benchmark]:
    with _running(f"load task {name!r} with its data"):
        loaded = manager.load([name])
    tasks, group = loaded["tasks"], loaded.get("groups", {}).get(name)
    for key, task in tasks.items():
        _check(key, task)
    if group is not None and group.has_aggregation:
        known = [config.metric for config in group.aggregate_metric_list]
        return [Benchmark(name, _metric(name, metric, known), tasks, group)]
    return [Benchmark(key, _metric(key, metric, list(task.aggregation())), {key: task}) for key, task in tasks.items()]


def _metric(name: str, metric: str, known: Sequence[str]) -> str:
    """The metric that is asked for, or the task's first."""
    if metric and metric not in known:
        raise InputError(f"task {name!r} has no metric {metric!r}; {nearest(metric, known)}")
    return metric or known[0]


def _check(name: str, task: Any) -> None:
    """Refuse what a plan cannot answer."""
    if task.OUTPUT_TYPE == "generate_until":
        raise InputError(
            f"task {name!r} asks for generated text, where evaluate reads figures off one pass a sample: run it with "
            "python -m tilewright.lm_eval"
        )
    if getattr(task, "MULTIMODAL", False):
        raise InputError(f"task {name!r} asks about pictures or sound, which a plan of a language model does not take")
    if getattr(task, "UNSAFE_CODE", False):
        raise InputError(f"task {name!r} runs code that a model writes, which tilewright does not do")
    if task.get_config("filter_list"):
        raise InputError(f"task {name!r} filters answers, which tilewright does not do: run it with lm-eval")
    if task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)


@contextmanager
def _running(what: str) -> Iterator[None]:
    """lm-eval's own code: with the random numbers of its command line, and afterwards as before; errors are a sentence.

    what: is done, for the sentence.
    """
    python, legacy = random.getstate(), np.random.get_state()  # tasks draw from both, such as the order of choices
    random.seed(SEEDS[0])
    np.random.seed(SEEDS[1])
    try:
        yield
    except Exception as error:  # whatever reading a stranger's data raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"lm-eval cannot {what}: {reason}") from error
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
