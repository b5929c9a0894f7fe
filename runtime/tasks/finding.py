"""Tasks by name: built in, of installed packages, or of a file of one's own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.images.classification import ImageClassification, ImageClassificationTop5
from tilewright.runtime.tasks.language.language_modelling import BitsPerByte, Perplexity, PerplexityPerWord
from tilewright.runtime.tasks.language.lm_eval_task import PREFIX, LmEvalTask
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.texts.glue import GLUE
from tilewright.runtime.tasks.texts.question_answering import ExactAnswers, QuestionAnswering
from tilewright.runtime.tasks.texts.text_classification import TextClassification, TextRegression
from tilewright.runtime.tasks.texts.token_classification import TagAccuracy, TokenClassification
from tilewright.runtime.tasks.users_code import run_file, users_code
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_whole
from tilewright.targets.paths import shown_path
from tilewright.targets.shown import shown

TASKS: dict[str, type[Task]] = {
    **GLUE,
    "bits-per-byte": BitsPerByte,
    "image-classification": ImageClassification,
    "image-classification-top5": ImageClassificationTop5,
    "perplexity": Perplexity,
    "perplexity-per-word": PerplexityPerWord,
    "question-answering": QuestionAnswering,
    "question-answering-exact": ExactAnswers,
    "stsb": GLUE["glue/stsb"],
    "text-classification": TextClassification,
    "text-regression": TextRegression,
    "token-classification": TokenClassification,
    "token-classification-accuracy": TagAccuracy,
}
"""Built-in tasks by name."""
GROUP = "tilewright.tasks"
"""Group of entry points by which an installed package adds tasks."""
GIVEN = 3
"""Number of arguments that every task takes: plan, data and limit. Those behind them are its options."""
AnyTask = str | Task | type[Task]


def task_names() -> list[str]:
    """Names of all tasks that there are: built in, and of installed packages."""
    return sorted({*TASKS, *entry_points(group=GROUP).names})


def make_task(
    plan: Plan,
    task: AnyTask,
    data: str | Path | None,
    limit: int | None,
    task_options: Mapping[str, Any] | None = None,
) -> Task:
    """The task on these data, prepared for the plan.

    task: its name, its class, FILE.py:CLASS, lm-eval:NAME, or a task that is prepared already. task_options: of the
    task itself, by the names that its constructor has beside plan, data and limit. Raises ``InputError`` if there is no
    such task or option, or its data do not fit.
    """
    options = dict(task_options or {})
    if limit is not None:
        check_whole("limit", limit)
    if isinstance(task, str) and task.startswith(PREFIX):
        check_options(LmEvalTask, task, options, GIVEN + 1)
        folder = Path(data) if data is not None else None
        benchmark = LmEvalTask(plan, task.removeprefix(PREFIX), folder, limit, **options)
        benchmark.task_options = options
        return benchmark
    if isinstance(task, Task):
        if data is not None or limit is not None or options:
            raise InputError(f"{type(task).__name__} is prepared already, so it takes no data, no limit and no options")
        return task
    found = find_task(task) if isinstance(task, str) else task
    if not (inspect.isclass(found) and issubclass(found, Task)):
        raise InputError(f"task is {shown(repr(task))}; it must be a task's name, FILE.py:CLASS, or a tilewright.Task")
    name = task if isinstance(task, str) else found.__name__
    if data is None:
        raise InputError(f"task {name!r} needs its data: a file or folder")
    check_options(found, name, options)
    with users_code(f"task {name!r}", found):
        made = found(plan, Path(data), limit, **options)
        made.task_options = options
    check_made(made, name)
    if not len(made.samples) or not made.size:
        raise InputError(f"{shown_path(Path(data))} has no examples")
    return made


def check_made(task: Task, name: str) -> None:
    """Raise ``InputError`` unless a task has what every task has. name: of the task, for the sentence."""
    if not isinstance(getattr(task, "metric", None), Metric):
        raise InputError(f"task {name!r} has no metric; set metric to a tilewright.Metric")
    for attribute in ("samples", "labels"):
        if not hasattr(getattr(task, attribute, None), "__len__"):
            raise InputError(f"task {name!r} has no {attribute}; set self.{attribute}, one an example, in __init__")


def check_options(task: type[Task], name: str, options: Mapping[str, Any], given: int = GIVEN) -> None:
    """Raise ``InputError`` for an option that the task's constructor does not take, or one that it cannot do without.

    name: of the task, for the sentence. given: number of arguments before the options.
    """
    parameters = list(inspect.signature(task).parameters.values())[given:]
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return
    allowed = {one.name: one.default for one in parameters if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}
    unknown = next((option for option in options if option not in allowed), None)
    if unknown is not None:
        said = nearest(str(unknown), allowed) if allowed else "it takes none"
        raise InputError(f"task {name!r} has no option {shown(str(unknown))}; {said}")
    needed = next(
        (one for one, value in allowed.items() if value is inspect.Parameter.empty and one not in options), None
    )
    if needed is not None:
        raise InputError(f"task {name!r} needs the option {needed!r}")


def find_task(name: str) -> type[Task]:
    """The task of that name. Raises ``InputError`` with the nearest name."""
    if not isinstance(name, str):
        raise InputError(f"task is {shown(repr(name))}; it must be a task's name, or FILE.py:CLASS")
    if ":" in name:
        return _of_file(*name.rsplit(":", 1))
    if name in TASKS:
        return TASKS[name]
    for point in entry_points(group=GROUP, name=name):
        found = point.load()
        if not (inspect.isclass(found) and issubclass(found, Task)):
            raise InputError(f"task {name!r} of the package {point.value!r} is no tilewright.Task")
        return found
    raise InputError(f"there is no task {name!r}; {nearest(name, task_names())}")


def _of_file(file: str, name: str) -> type[Task]:
    """A class in a Python file of the user's own, which is run."""
    path = Path(file)
    module = run_file(path, f"task {name!r}")
    tasks = [key for key, value in vars(module).items() if inspect.isclass(value) and issubclass(value, Task)]
    found = getattr(module, name, None)
    if not (inspect.isclass(found) and issubclass(found, Task)):
        raise InputError(f"{shown_path(path)} has no task {name!r}; {nearest(name, tasks)}")
    return found
