"""Classification of texts, or of pairs of texts, by a model with one logit a class; and regression by one logit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.class_names import class_numbers
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.metrics import accuracy, pearson
from tilewright.runtime.tasks.rows import read_rows
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.text import TextEncoder
from tilewright.targets.errors import InputError

LOGITS = "logits"


@dataclass(frozen=True)
class Columns:
    """Columns of a file of labelled texts."""

    text: str = "text"
    pair: str | None = None
    """Column of the second text; None where there is one."""
    label: str = "label"
    header: tuple[str, ...] | None = None
    """Names of all columns, where the file has no line of them."""


class TextTask(Task):
    """Labelled texts in a file, for a model with ``logits``."""

    columns = Columns()

    def __init__(self, plan: Plan, data: Path, limit: int | None) -> None:
        """Read a file with the columns ``text`` (and another, if it has pairs) and ``label``."""
        columns = self.columns
        texts = [columns.text] if columns.pair is None else [columns.text, columns.pair]
        rows = read_rows(data, [*texts, columns.label], limit, header=columns.header)
        if LOGITS not in (record.name for record in plan.document.outputs):
            names = ", ".join(record.name for record in plan.document.outputs)
            raise InputError(f"the task needs a model that gives {LOGITS}; the plan has {names}")
        encoder = TextEncoder(plan)
        given: Sequence[Any] = [str(row[texts[0]]) for row in rows]
        if columns.pair is not None:
            given = [(str(row[columns.text]), str(row[columns.pair])) for row in rows]
        self.samples = encoder.encode(given)
        self.labels = self.read_labels(plan, [row[columns.label] for row in rows])

    def read_labels(self, plan: Plan, labels: list[Any]) -> Any:
        """Labels as the metric takes them. Raises ``InputError`` for one that is none."""
        raise NotImplementedError


class TextClassification(TextTask):
    """Classes of texts: the largest logit is the class. Labels are the model's class names, or their numbers."""

    metric_of: Callable[[int], Metric] = staticmethod(accuracy)
    """Function from the number of classes to the metric."""

    def read_labels(self, plan: Plan, labels: list[Any]) -> Any:
        """Numbers of the classes, as the model counts them."""
        names = plan.document.model.classes
        numbers = class_numbers(labels, names)
        self.metric = self.metric_of(len(names) if names else max(numbers) + 1)
        return numbers

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """The class of each text [samples]."""
        return outputs[LOGITS].argmax(dim=-1)


class TextRegression(TextTask):
    """A number for each text, or pair: the model's single logit, by Pearson's correlation."""

    metric = pearson()

    def read_labels(self, plan: Plan, labels: list[Any]) -> Any:
        """The labels as numbers."""
        try:
            return torch.tensor([float(label) for label in labels], dtype=torch.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"a label is no number: {error}") from error

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """The logit of each text [samples]."""
        logits = outputs[LOGITS]
        if logits.dim() != 2 or logits.shape[1] != 1:
            raise InputError(f"regression needs one logit a text; the plan's logits have shape {list(logits.shape)}")
        return logits[:, 0]
