"""Studies as files: YAML that says what is asked, of which network, task and data, and on which chips."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tilewright.compiler.assignment.assign import CRITERION
from tilewright.compiler.assignment.problem import ENERGY
from tilewright.compiler.studies.pareto import pareto
from tilewright.compiler.studies.study import Study, ablate, sweep
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.evaluate import DEFAULT_TASK
from tilewright.runtime.measuring.resampling import RESAMPLES
from tilewright.runtime.measuring.stopping import FEWEST
from tilewright.runtime.measuring.workers import Workers
from tilewright.runtime.plan.plan import load
from tilewright.runtime.storage.sample_files import read_samples
from tilewright.targets.errors import InputError, first_problem
from tilewright.targets.paths import as_path, read_text, shown_path
from tilewright.targets.plain_yaml import read_plain

LARGEST = 2**20  # bytes of YAML


class StudyFile(BaseModel):
    """A study as its file says it. Paths are seen from the folder that the program runs in."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Literal["study"] = Field(description="study, which tells the file from a target's")
    title: str = Field(min_length=1, description="question, for people")
    study: Literal["sweep", "ablate", "pareto"] = Field(description="kind of the study, as the commands are named")
    source: str | None = Field(None, description="a plan's folder; of a sweep also a model; may be given beside")
    target: str | None = Field(None, description="target of a model")
    vary: dict[str, Any] = Field(default_factory=dict, description="values by key, of a sweep")
    calibration: str | None = Field(None, description="file of sample inputs of a model")
    points: int = Field(12, description="assignments of a pareto curve, at most")
    minimise: str = Field(ENERGY, description="cost of a pareto curve")
    method: str = Field("exact", description="assignments of a pareto curve: exact, or rank, layer by layer")
    criterion: str = Field(CRITERION, description="criterion that predicts the loss of a pareto curve")
    sizes: dict[str, int] = Field(default_factory=dict, description="sizes of the inputs that costs are of")
    preset: str | None = Field(None, description="costs, where the chip has none")
    inputs: str | None = Field(None, description="file of inputs that the criterion is measured with")
    samples: int = Field(32, description="inputs that count, at most")
    time: str | float = Field("1mo", description="time since programming that the criterion is measured at")
    task: str = Field(DEFAULT_TASK, description="task by name")
    data: str | None = Field(None, description="the task's data; may be given beside the file")
    task_options: dict[str, Any] = Field(default_factory=dict, description="options of the task's own")
    limit: int | None = Field(None, description="only the first so many examples")
    batch_size: int = Field(64, description="samples at once, which change no result")
    adapter: str | None = Field(None, description="one of the plan's adapters")
    times: list[str | float] = Field(["1s", "1mo"], description="times since programming")
    repeats: int = Field(5, description="chips, at most")
    until_error: float | str | None = Field(None, description="standard error to stop at; see evaluate")
    fewest: int = Field(FEWEST, description="chips to begin with, where an error says how many")
    iso: float | str = Field("99%", description="A* that iso-accuracy asks for")
    resamples: int = Field(RESAMPLES, description="resamples of the examples; 0 for none")
    drift_compensation: bool = Field(True, description="false leaves the drift as it is")
    seed: int = Field(0, description="seed of the chips")

    @model_validator(mode="after")
    def _only_its_own(self) -> StudyFile:
        """Refuse keys of another kind of study, which would be ignored."""
        others = {key for kind, keys in OF_KIND.items() if kind != self.study for key in keys}
        for key in sorted(self.model_fields_set & (others - OF_KIND[self.study])):
            kinds = " or ".join(kind for kind, keys in OF_KIND.items() if key in keys)
            raise ValueError(f"{key} is of {kinds}, and the study is {self.study}")
        return self


OF_KIND: dict[str, set[str]] = {
    "sweep": {"vary", "target", "calibration"},
    "ablate": set(),
    "pareto": {"points", "minimise", "method", "criterion", "sizes", "preset", "inputs", "samples", "time"},
}
"""Keys that one kind of study has alone."""
OF_EVALUATION = {
    "limit", "batch_size", "adapter", "times", "repeats", "until_error", "fewest", "iso", "resamples",
    "drift_compensation", "seed",
}  # fmt: skip


def read_study(path: str | Path) -> StudyFile:
    """Study of a YAML file. Raises ``InputError`` for what is none, with the key and what is allowed."""
    path = as_path(path, "study")
    try:
        content = read_plain(read_text(path, "study", LARGEST))
    except yaml.YAMLError as error:
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
    limit: int | None = None,
    repeats: int | None = None,
    results: str | Path | Sequence[str | Path] | None = None,
    workers: int | Workers = 1,
    executor: Executor | None = None,
    on_measurement: OnProgress | None = None,
) -> Study:
    """Make the study of a file.

    study: the file, or what ``read_study`` gives. source, data, limit, repeats: in place of the file's. results,
    workers, executor: as of ``evaluate``. on_measurement: called after each measurement with (done, of how many, what).

    Raises ``InputError`` for a file that is wrong, and as ``sweep``, ``ablate`` and ``pareto`` do.
    """
    said = study if isinstance(study, StudyFile) else read_study(study)
    network, examples = source or said.source, data or said.data
    if network is None:
        raise InputError(f"the study {said.title!r} names no source; give one")
    how: dict[str, Any] = said.model_dump(include=OF_EVALUATION)
    how |= {name: given for name, given in {"limit": limit, "repeats": repeats}.items() if given is not None}
    how |= {"task_options": said.task_options, "results": results, "workers": workers, "executor": executor}
    how["on_measurement"] = on_measurement
    if said.study == "sweep":
        samples = read_samples(None if said.calibration is None else Path(said.calibration), "calibration")
        made = sweep(network, said.vary, said.task, examples, target=said.target, calibration=samples, **how)
    elif said.study == "ablate":
        made = ablate(load(network), said.task, examples, **how)
    else:
        curve = said.model_dump(include={"points", "minimise", "method", "criterion", "samples", "time", "preset"})
        curve["inputs"] = read_samples(None if said.inputs is None else Path(said.inputs), "inputs")
        made = pareto(load(network), said.task, examples, sizes=said.sizes, **curve, **how)
    return replace(made, title=f"{said.title}: {made.title}")
