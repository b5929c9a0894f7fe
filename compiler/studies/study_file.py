"""Studies as files: YAML that says what is asked, of which network, task and data, and on which chips."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tilewright.compiler.assignment.assign import CRITERION
from tilewright.compiler.assignment.problem import ENERGY
from tilewright.compiler.studies.pareto import pareto
from tilewright.compiler.studies.study import Study, ablate, sweep
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.evaluate import DEFAULT_TASK
from tilewright.runtime.measuring.stopping import FEWEST
from tilewright.runtime.measuring.workers import Workers
from tilewright.runtime.plan.plan import load
from tilewright.targets.errors import InputError, first_problem
from tilewright.targets.paths import as_path, read_bytes, shown_path

LARGEST = 2**20  # bytes of YAML


class StudyFile(BaseModel):
    """A study as its file says it. Paths are seen from the folder that the program runs in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["study"] = Field(description="study, which tells the file from a target's")
    title: str = Field(min_length=1, description="question, for people")
    study: Literal["sweep", "ablate", "pareto"] = Field(description="kind of the study, as the commands are named")
    source: str | None = Field(None, description="a plan's folder; of a sweep also a model; may be given beside")
    target: str | None = Field(None, description="target of a model")
    vary: dict[str, str | list[Any]] = Field(default_factory=dict, description="values by key, of a sweep")
    points: int = Field(12, description="assignments of a pareto curve, at most")
    minimise: str = Field(ENERGY, description="cost of a pareto curve")
    method: str = Field("exact", description="assignments of a pareto curve: exact, or rank, layer by layer")
    criterion: str = Field(CRITERION, description="criterion that predicts the loss of a pareto curve")
    task: str = Field(DEFAULT_TASK, description="task by name")
    data: str | None = Field(None, description="the task's data; may be given beside the file")
    task_options: dict[str, Any] = Field(default_factory=dict, description="options of the task's own")
    limit: int | None = Field(None, description="only the first so many examples")
    times: list[str] = Field(["1s", "1mo"], description="times since programming")
    repeats: int = Field(5, description="chips, at most")
    until_error: float | str | None = Field(None, description="standard error to stop at; see evaluate")
    fewest: int = Field(FEWEST, description="chips to begin with, where an error says how many")
    seed: int = Field(0, description="seed of the chips")


def read_study(path: str | Path) -> StudyFile:
    """Study of a YAML file. Raises ``InputError`` for what is none, with the key and what is allowed."""
    path = as_path(path, "study")
    try:
        content = yaml.safe_load(read_bytes(path, "study", LARGEST))
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{shown_path(path)} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{shown_path(path)} must hold keys and values: kind: study, title, study, and what it is of")
    try:
        return StudyFile.model_validate(content)
    except ValidationError as error:
        raise InputError(f"study {shown_path(path)}: {first_problem(error, StudyFile, content)}") from error


def run_study(
    study: str | Path | StudyFile,
    *,
    source: str | Path | None = None,
    data: str | Path | None = None,
    results: str | Path | None = None,
    workers: int | Workers = 1,
    executor: Executor | None = None,
    on_measurement: OnProgress | None = None,
) -> Study:
    """Make the study of a file.

    study: the file, or what ``read_study`` gives. source, data: in place of the file's. results: file of measurements
    that is added to; workers, executor: as of ``evaluate``. on_measurement: called after each measurement with (done,
    of how many, what).

    Raises ``InputError`` for a file that is wrong, and as ``sweep``, ``ablate`` and ``pareto`` do.
    """
    said = study if isinstance(study, StudyFile) else read_study(study)
    given = {"source": source or said.source, "data": data or said.data}
    for name, value in given.items():
        if value is None:
            raise InputError(f"the study {said.title!r} names no {name}; give one")
    network, examples = given["source"], given["data"]
    assert network is not None
    how: dict[str, Any] = said.model_dump(include={"limit", "times", "repeats", "until_error", "fewest", "seed"})
    how |= {"task_options": said.task_options, "results": results, "workers": workers, "executor": executor}
    how["on_measurement"] = on_measurement
    if said.study == "sweep":
        return sweep(network, said.vary, said.task, examples, target=said.target, **how)
    plan = load(network)
    if said.study == "ablate":
        return ablate(plan, said.task, examples, **how)
    curve = said.model_dump(include={"points", "minimise", "method", "criterion"})
    return pareto(plan, said.task, examples, **curve, **how)
