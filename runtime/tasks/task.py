"""Interface of the tasks that plans are evaluated on: data, a readout, a metric."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.storage.weights_file import tensor_bytes
from tilewright.runtime.tasks.code_of_function import code_of
from tilewright.runtime.tasks.logits import LOGITS
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.users_code import users_code
from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

Sample = Mapping[str, Tensor]
"""Inputs of one sample by name, without the dimension that counts samples."""


class Task(ABC):
    """A task: examples with labels, prepared for one plan; a readout of the outputs; and a metric.

    metric: how predictions and labels are compared. samples: inputs of each sample by name, without the dimension that
    counts samples; a sequence may make each when it is asked for. labels: one an example. task_options: options that it
    was made with, by name.

    To write one, set ``metric`` in the class, and ``samples`` and ``labels`` in ``__init__``; ``read`` makes of a
    batch's outputs what is kept of each sample. Where an example is not one sample, ``predictions`` makes the examples'
    predictions of what was kept. Arguments of ``__init__`` behind ``limit`` are the task's own options.
    """

    metric: Metric
    samples: Sequence[Sample]
    labels: Any
    task_options: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def __init__(self, plan: Plan, data: Path, limit: int | None) -> None:
        """Read the data and make the network's inputs of it. ``limit``: only the first so many examples.

        Raises ``InputError`` if the data or the plan do not fit the task.
        """

    @abstractmethod
    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Readout of a batch, of its inputs and outputs by name: what is kept of each sample [samples, ...]."""

    def predictions(self, kept: Sequence[Tensor]) -> Any:
        """Predictions, one an example, of what was kept of each sample; all of it as one tensor if not overridden."""
        if len(kept) != len(self.labels):
            raise InputError(f"{type(self).__name__} has {len(kept)} samples and {len(self.labels)} labels")
        return torch.stack(list(kept))

    def loss(self, numbers: Sequence[int], inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Differentiable loss of a batch [], the mean over its examples: what ``tilewright train`` makes smaller.

        numbers: of the batch's samples. Raises ``InputError`` for a task that has none; to train by one of your own,
        write it.
        """
        raise InputError(
            f"{type(self).__name__} has no loss to train by: write loss(numbers, inputs, outputs) in its class"
        )

    def taught(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Outputs that a teacher's are compared with in distillation [samples, ..., classes]: the logits.

        Raises ``InputError`` for outputs without them.
        """
        if LOGITS not in outputs:
            raise InputError(f"distillation compares {LOGITS}, and the model gives {', '.join(outputs)}")
        return outputs[LOGITS]

    def together(self) -> Sequence[Sequence[int]]:
        """Numbers of the samples that a training batch must hold together: each alone if not overridden."""
        return [[number] for number in range(len(self.samples))]

    @property
    def size(self) -> int:
        """Number of examples."""
        return len(self.labels)

    def predict(self, session: Executable, batch_size: int) -> Any:
        """Predictions of this session for all examples, the same whatever the batch size."""
        kept: dict[int, Tensor] = {}
        for numbers, inputs in batches(self.samples, batch_size):
            outputs = session.run(inputs, samples=numbers)
            with users_code(f"{type(self).__name__}.read", type(self)):
                read = self.read(inputs, outputs)
            if not isinstance(read, Tensor) or not read.dim():
                raise InputError(f"{type(self).__name__}.read gives {shown(read)}; it must be a tensor [samples, ...]")
            if len(read) != len(numbers):
                raise InputError(
                    f"{type(self).__name__}.read gives {len(read)} results for a batch of {len(numbers)} samples"
                )
            kept |= zip(numbers, read, strict=True)
        return self.predictions([kept[number] for number in range(len(self.samples))])

    def measure(self, session: Executable, batch_size: int) -> float:
        """The metric of this session, the same whatever the batch size. Raises ``InputError`` if it is no number."""
        return self.metric(self.predict(session, batch_size), self.labels)

    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of what is measured: inputs, labels, options, metric, the user's code."""
        digest = hashlib.sha256(f"{type(self).__name__}\0{self.metric.name}\0{self.metric.version}".encode())
        digest.update(code_of(self.metric.of))
        for own in (
            self.metric.each,
            *(getattr(type(self), name) for name in ("read", "predictions", "predict", "measure")),
        ):
            digest.update(code_of(own))  # nothing for tilewright's own
        for number, sample in enumerate(self.samples):
            if not isinstance(sample, Mapping) or not all(isinstance(value, Tensor) for value in sample.values()):
                raise InputError(
                    f"sample {number} of {type(self).__name__} is {shown(sample)}; it must be tensors by name"
                )
            for name, value in sorted(sample.items()):
                digest.update(f"{name}\0{value.dtype}\0{list(value.shape)}\0".encode())
                digest.update(tensor_bytes(value))
        labels = self.labels.tolist() if isinstance(self.labels, Tensor) else list(self.labels)
        plain = [label.item() if isinstance(label, Tensor) and not label.dim() else label for label in labels]
        digest.update(json.dumps(plain, default=str).encode())
        if self.task_options:  # they may change the readout alone
            digest.update(json.dumps(self.task_options, default=str, sort_keys=True).encode())
        return digest.hexdigest()


def batches(samples: Sequence[Sample], size: int) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
    """Batches of at most ``size`` samples whose inputs have the same shapes: their numbers, and their inputs by name.

    Samples are read one after another, once, so that a sequence may make each when it is asked for. Raises
    ``InputError`` for one that has NaN.
    """
    alike: dict[tuple[Any, ...], dict[int, Sample]] = {}
    for number, sample in enumerate(samples):
        shapes = tuple((name, *value.shape) for name, value in sorted(sample.items()))
        group = alike.setdefault(shapes, {})
        group[number] = sample
        if len(group) == size:
            yield _stacked(alike.pop(shapes))
    for group in alike.values():
        yield _stacked(group)


def _stacked(group: Mapping[int, Sample]) -> tuple[list[int], dict[str, Tensor]]:
    first = next(iter(group.values()))
    for number, sample in group.items():
        for name, value in sample.items():
            if value.is_floating_point() and value.isnan().any():
                raise InputError(f"input {name!r} of sample {number} has NaN, of which every prediction would be wrong")
    return list(group), {name: torch.stack([sample[name] for sample in group.values()]) for name in first}
