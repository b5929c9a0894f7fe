"""A task of inputs and labels that are given in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.task import Sample, Task
from tilewright.targets.errors import InputError

Readout = Callable[[Mapping[str, Tensor]], Tensor]
"""Function from a batch's outputs by name to what is kept of each sample [samples, ...]."""
LABELS = ("labels", "label")
"""Names of the labels in batches and columns that hold them beside the inputs."""


class GivenTask(Task):
    """A task of inputs and labels in memory.

    Predictions are what ``readout`` makes of the outputs; the first output itself if there is none.
    """

    def __init__(
        self,
        plan: Plan,
        metric: Metric | Callable[[Any, Any], float],
        inputs: Any,
        labels: Any = None,
        readout: Readout | None = None,
    ) -> None:
        """Take inputs and labels.

        metric: a ``Metric``, or a function from predictions and labels to the figure. inputs: arrays by input name, or
        one array, with samples along the first dimension; or what gives batches (a ``DataLoader``) or rows (a
        ``datasets.Dataset``): pairs of inputs and labels, or mappings with the labels beside the inputs. labels: one an
        example, where ``inputs`` does not give them. Raises ``InputError`` for inputs that the plan does not take.
        """
        self.metric = metric if isinstance(metric, Metric) else Metric(getattr(metric, "__name__", "metric"), metric)
        self.readout, self.names = readout, [record.name for record in plan.document.inputs]
        self.output = plan.document.outputs[0].name
        if labels is not None:
            self.samples = self._samples(inputs)
            self.labels = torch.as_tensor(labels) if isinstance(labels, Tensor) else labels
        else:
            self.samples, self.labels = self._of_batches(inputs)
        if len(self.samples) != len(self.labels):
            raise InputError(f"there are {len(self.samples)} samples and {len(self.labels)} labels")

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Predictions of a batch by the readout; without one the plan's first output."""
        return outputs[self.output] if self.readout is None else self.readout(outputs)

    def _samples(self, inputs: Any) -> list[Sample]:
        """Samples of arrays with samples along the first dimension."""
        by_name = inputs if isinstance(inputs, Mapping) else {self.names[0]: inputs}
        tensors = {name: torch.as_tensor(by_name[name]) for name in self.names if name in by_name}
        unknown = [name for name in by_name if name not in self.names]
        if unknown or not tensors:
            what = f"input {unknown[0]!r}" if unknown else "none of the inputs"
            raise InputError(f"the plan takes {', '.join(self.names)}, and {what} was given")
        counts = {name: len(value) for name, value in tensors.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"inputs have different numbers of samples: {counts}")
        count = next(iter(counts.values()))
        return [{name: value[number] for name, value in tensors.items()} for number in range(count)]

    def _of_batches(self, source: Iterable[Any]) -> tuple[list[Sample], list[Any]]:
        """Samples and labels of batches, or of rows."""
        samples: list[Sample] = []
        labels: list[Any] = []
        for one in source:
            inputs, found = self._parted(one)
            is_batch = isinstance(found, Sequence | Tensor | np.ndarray) and not isinstance(found, str)
            if is_batch and getattr(found, "ndim", True):
                samples += self._samples(inputs)
                labels += list(found)
            else:  # a row
                by_name = inputs if isinstance(inputs, Mapping) else {self.names[0]: inputs}
                samples.append({name: torch.as_tensor(by_name[name]) for name in self.names if name in by_name})
                labels.append(found)
        return samples, labels

    def _parted(self, one: Any) -> tuple[Any, Any]:
        if isinstance(one, Mapping):
            name = next((name for name in LABELS if name in one), None)
            if name is not None:
                return {key: value for key, value in one.items() if key in self.names}, one[name]
        elif isinstance(one, Sequence) and len(one) == 2:
            return one[0], one[1]
        raise InputError("inputs give no labels: give pairs of inputs and labels, a column 'labels', or labels=")
