"""Classification of texts, or of pairs of texts, by a model with one logit a class; and regression by one logit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.class_names import class_numbers
from tilewright.runtime.tasks.logits import LOGITS, class_loss, number_of_logits
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.metrics import accuracy, pearson
from tilewright.runtime.tasks.rows import column_option, numbers, read_rows, texts
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.texts.text import TextEncoder
from tilewright.targets.errors import InputError


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

    def __init__(
        self,
        plan: Plan,
        data: Path,
        limit: int | None,
        *,
        text: str | None = None,
        pair: str | None = None,
        label: str | None = None,
    ) -> None:
        """Read a file of labelled texts.

        text, pair, label: its columns of the texts, of the second texts, and of the labels; the task's own if None.
        """
        own = self.columns
        named: dict[str, Any] = {"text": text, "pair": pair, "label": label}
        given: Any = {option: column_option(option, name, getattr(own, option)) for option, name in named.items()}
        self.columns = columns = replace(own, **given)
        logits = number_of_logits(plan)
        read = [columns.text] if columns.pair is None else [columns.text, columns.pair]
        rows = read_rows(self.data_file(data), [*read, columns.label], limit, header=columns.header)
        first, *second = (texts([row[column] for row in rows], column) for column in read)
        self.samples = TextEncoder(plan).encode(list(zip(first, *second, strict=True)) if second else first)
        self.labels = self.read_labels(plan, [row[columns.label] for row in rows], logits)

    def data_file(self, data: Path) -> Path:
        """File of the examples that ``data`` names: itself."""
        return data

    def read_labels(self, plan: Plan, labels: list[Any], logits: int) -> Any:
        """Labels as the metric takes them. Raises ``InputError`` for one that is none, or that has no logit."""
        raise NotImplementedError


class TextClassification(TextTask):
    """Classes of texts: the largest logit is the class. Labels are the model's class names, or their numbers."""

    metric_of: Callable[[int], Metric] = staticmethod(accuracy)
    """Function from the number of classes to the metric."""

    def read_labels(self, plan: Plan, labels: list[Any], logits: int) -> Any:
        """Numbers of the classes, as the model counts them."""
        if logits < 2:
            raise InputError("the plan has one logit a text, so it tells no classes apart; its task is text-regression")
        self.metric = self.metric_of(logits)
        return class_numbers(labels, plan.document.model.classes, logits)

    def loss(self, numbers: Sequence[int], inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Cross-entropy of the classes."""
        return class_loss(outputs[LOGITS], [self.labels[number] for number in numbers])

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """The class of each text [samples]."""
        return outputs[LOGITS].argmax(dim=-1)


class TextRegression(TextTask):
    """A number for each text, or pair: the model's single logit, by Pearson's correlation."""

    metric = pearson()

    def read_labels(self, plan: Plan, labels: list[Any], logits: int) -> Any:
        """The labels as numbers."""
        if logits != 1:
            raise InputError(f"regression needs one logit a text; the plan has {logits}")
        return torch.tensor(numbers(labels, self.columns.label), dtype=torch.float64)

    def loss(self, numbers: Sequence[int], inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Mean squared difference of the logits from the labels."""
        logits = self.read(inputs, outputs)
        return functional.mse_loss(logits, self.labels[list(numbers)].to(logits))

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """The logit of each text [samples]."""
        return outputs[LOGITS][:, 0]
