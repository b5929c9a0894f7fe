"""Data of a training: a task's labelled examples, in batches for transformers' Trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.tasks.finding import find_task
from tilewright.runtime.tasks.language.lm_eval_task import PREFIX
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.texts.glue import GlueTask
from tilewright.runtime.tasks.texts.stsb import SemanticSimilarity
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, as_path, kind_of, shown_path
from tilewright.targets.shown import shown

TRAIN = "train.tsv"
"""Name of the file to train on in a folder of GLUE."""
NUMBERS = "sample_numbers"
"""Key of a batch under which the numbers of its samples stand."""


@dataclass(frozen=True)
class TrainingData:
    """Files to train on and to evaluate on, of a task by name.

    train, evaluation: files or folders, as the task reads them. class_names: names of the task's classes, where it has
    its own. needs_head: True if a model must have a head for the task.
    """

    task: str
    train: Path
    evaluation: Path
    class_names: Sequence[str] | None
    needs_head: bool

    @classmethod
    def of(cls, task: str, data: str | Path, evaluate_on: str | Path | None) -> TrainingData:
        """Data of a task: of GLUE's folder train.tsv, and its dev.tsv to evaluate on; else files that are named.

        Raises ``InputError`` for an unknown task, or where nothing is left to evaluate on.
        """
        if isinstance(task, str) and task.startswith(PREFIX):
            raise InputError(
                f"task {shown(task)} has no loss to train by: train on texts, by perplexity, and evaluate on it"
            )
        found, folder = find_task(task), as_path(data, "data")
        for path in (folder, evaluate_on):
            if path is not None and kind_of(path) is None:
                raise InputError(f"there are no data at {shown_path(Path(path))}")
        is_glue = issubclass(found, GlueTask | SemanticSimilarity)
        names = list(found.classes) if issubclass(found, GlueTask) else None
        needs_head = not issubclass(found, SemanticSimilarity)  # which compares embeddings
        if is_glue and kind_of(folder) == FOLDER:
            return cls(
                task, folder / TRAIN, Path(evaluate_on) if evaluate_on is not None else folder, names, needs_head
            )
        if evaluate_on is None:
            raise InputError(
                f"task {task!r} is trained on {shown_path(folder)}; name other data to evaluate on (--evaluate-on)"
            )
        return cls(task, folder, Path(evaluate_on), names, needs_head)


class TrainingExamples(torch.utils.data.Dataset[list[int]]):
    """Groups of samples of a task that a batch must hold together, for a Trainer; ``collate`` makes their batch."""

    def __init__(self, task: Task) -> None:
        self.task, self.groups = task, task.together()

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, place: int) -> list[int]:
        return list(self.groups[place])

    def first_inputs(self, count: int) -> dict[str, Any]:
        """Inputs of the first so many samples by name, as arrays [samples, ...], to calibrate ranges with."""
        samples = [self.task.samples[number] for number in range(min(count, len(self.task.samples)))]
        return {name: _stacked([sample[name] for sample in samples]).numpy() for name in samples[0]}

    def collate(self, groups: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Inputs of a batch by name [samples, ...], padded to the longest, and the samples' numbers."""
        numbers = [number for group in groups for number in group]
        samples = [self.task.samples[number] for number in numbers]
        batch: dict[str, Any] = {name: _stacked([sample[name] for sample in samples]) for name in samples[0]}
        return {**batch, NUMBERS: torch.tensor(numbers)}


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors of one name as one, those of texts filled with zeros behind: their mask says so."""
    if len({tensor.shape for tensor in tensors}) == 1:
        return torch.stack(list(tensors))
    longest = max(len(tensor) for tensor in tensors)
    return torch.stack([functional.pad(tensor, (0, longest - len(tensor))) for tensor in tensors])


def named_outputs(outputs: Any) -> Mapping[str, Tensor]:
    """Outputs of a transformers model by name."""
    return {name: value for name, value in outputs.items() if isinstance(value, Tensor)}
