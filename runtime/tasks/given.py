"""A task of inputs and labels that are given in Python."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.code_of_function import code_of
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.task import Sample, Task
from tilewright.runtime.tasks.users_code import users_code
from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

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
        if readout is not None and not callable(readout):
            raise InputError(f"readout is {shown(readout)}; it must be a function from a batch's outputs by name")
        self.readout, self.names = readout, [record.name for record in plan.document.inputs]
        self.output = plan.document.outputs[0].name
        if labels is not None:
            self.samples, found = self._samples(inputs), labels
        else:
            self.samples, found = self._of_batches(inputs)
        if not hasattr(found, "__len__") or not getattr(found, "ndim", 1):
            raise InputError(f"labels are {shown(found)}; give one an example")
        self.labels = _as_tensor(found) if isinstance(found, list | tuple) else found
        if not self.samples:
            raise InputError("inputs have no samples")
        if len(self.samples) != len(self.labels):
            raise InputError(f"there are {len(self.samples)} samples and {len(self.labels)} labels")

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Predictions of a batch by the readout; without one the plan's first output."""
        if self.readout is None:
            return outputs[self.output]
        with users_code(f"readout of the outputs {', '.join(outputs)}", self.readout):
            return torch.as_tensor(self.readout(outputs))

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of what is measured, with the code of the readout."""
        found = super().fingerprint()
        own = code_of(self.readout)
        return hashlib.sha256(found.encode() + own).hexdigest() if own else found

    def _samples(self, inputs: Any) -> list[Sample]:
        """Samples of arrays with samples along the first dimension."""
        by_name = inputs if isinstance(inputs, Mapping) else {self.names[0]: inputs}
        unknown = [name for name in by_name if name not in self.names]
        if unknown or not by_name:
            what = f"input {unknown[0]!r}" if unknown else "none of the inputs"
            raise InputError(f"the plan takes {', '.join(self.names)}, and {what} was given")
        tensors = {name: _tensor(name, by_name[name]) for name in self.names if name in by_name}
        single = next((name for name, value in tensors.items() if not value.dim()), None)
        if single is not None:
            raise InputError(f"input {single!r} is one number; samples are along the first dimension")
        counts = {name: len(value) for name, value in tensors.items()}
        if len(set(counts.values())) > 1:
            raise InputError(f"inputs have different numbers of samples: {counts}")
        count = next(iter(counts.values()))
        return [{name: value[number] for name, value in tensors.items()} for number in range(count)]

    def _of_batches(self, source: Iterable[Any]) -> tuple[list[Sample], list[Any]]:
        """Samples and labels of batches, or of rows."""
        samples: list[Sample] = []
        labels: list[Any] = []
        if not isinstance(source, Iterable) or isinstance(source, str | Mapping):
            raise InputError(f"inputs are {shown(source)}, without labels; give labels=, or pairs of inputs and labels")
        for one in source:
            inputs, found = self._parted(one)
            is_batch = isinstance(found, Sequence | Tensor | np.ndarray) and not isinstance(found, str)
            if is_batch and getattr(found, "ndim", True):
                samples += self._samples(inputs)
                labels += list(found)
            else:  # a row
                by_name = inputs if isinstance(inputs, Mapping) else {self.names[0]: inputs}
                samples.append({name: _tensor(name, by_name[name]) for name in self.names if name in by_name})
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


def _tensor(name: str, value: Any) -> Tensor:
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"input {name!r} is {shown(value)}, which is no array of numbers: {error}") from error


def _as_tensor(labels: Sequence[Any]) -> Any:
    """Numbers, or tensors of one shape, as one tensor, so that they compare with predictions; others as they are."""
    try:
        if all(isinstance(label, Tensor) for label in labels):
            return torch.stack(list(labels))
        numbers = np.asarray(labels)
        return torch.from_numpy(numbers) if numbers.dtype.kind in "biuf" else labels
    except (TypeError, ValueError, RuntimeError):  # of several lengths
        return labels
