"""Samples that sensitivities are measured on: texts, arrays, or the sentences that come with tilewright."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.execution.inputs import prepare_inputs, sample_axes, some_samples
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.task import batches
from tilewright.runtime.tasks.texts.text import TextEncoder
from tilewright.targets.errors import InputError

BATCH = 16


@dataclass(frozen=True)
class Batch:
    """Inputs of several samples, and the samples' numbers."""

    inputs: dict[str, Tensor]
    numbers: list[int]


@dataclass(frozen=True)
class Samples:
    """Samples in batches of one shape each."""

    batches: list[Batch]
    source: str

    @property
    def size(self) -> int:
        """Number of samples."""
        return sum(len(batch.numbers) for batch in self.batches)

    @property
    def sha256(self) -> str:
        """SHA-256 of all inputs, in hexadecimal."""
        digest = hashlib.sha256()
        for batch in self.batches:
            for name, value in batch.inputs.items():
                digest.update(f"{name} {list(value.shape)} {value.dtype} {batch.numbers}".encode())
                digest.update(value.contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def singles(self, plan: Plan) -> Iterator[Batch]:
        """Samples one by one, as far as the plan counts them."""
        axes = sample_axes(plan.document.inputs)
        for batch in self.batches:
            if not axes:
                yield batch
                continue
            for place, number in enumerate(batch.numbers):
                yield Batch(some_samples(batch.inputs, axes, range(place, place + 1)), [number])


def takes_text(plan: Plan) -> bool:
    """True if the plan has a tokenizer, so that texts are inputs of it."""
    return "tokenizer.json" in plan.tokenizer_files


def samples_of(plan: Plan, given: Sequence[str] | Mapping[str, Any] | None, count: int) -> Samples:
    """Samples, ``count`` of them or fewer: texts, arrays by input name, or tilewright's own sentences if None.

    Raises ``InputError`` for inputs that do not fit the plan, and where a plan that takes no text is given none.
    """
    if isinstance(given, Mapping):
        return _from_arrays(plan, given, count)
    source = "given texts"
    if given is None:
        if not takes_text(plan):
            names = ", ".join(repr(record.name) for record in plan.document.inputs)
            raise InputError(
                f"the plan takes no text, so sensitivities need inputs: an .npz file (--inputs) or arrays with {names}"
            )
        text = files("tilewright.compiler.samples").joinpath("calibration.txt").read_text(encoding="utf-8")
        given, source = text.splitlines(), "the English sentences that come with tilewright"
    texts = [text for text in given if text.strip()][:count]
    if not texts:
        raise InputError("there are no texts to measure sensitivities on")
    encoded = TextEncoder(plan).encode(texts)
    made = []
    for numbers, inputs in sorted(batches(encoded, BATCH), key=_by_shape):  # kept measurements are of this order
        made.append(Batch(prepare_inputs(plan.document, inputs), numbers))
    return Samples(made, source)


def _by_shape(batch: tuple[list[int], dict[str, Tensor]]) -> tuple[list[tuple[str | int, ...]], list[int]]:
    numbers, inputs = batch
    return sorted((name, *value.shape[1:]) for name, value in inputs.items()), numbers


def _from_arrays(plan: Plan, given: Mapping[str, Any], count: int) -> Samples:
    prepared = prepare_inputs(plan.document, given)
    axes = sample_axes(plan.document.inputs)
    if not axes:
        return Samples([Batch(prepared, [0])], "given arrays")
    name, axis = next(iter(axes.items()))
    size = min(count, prepared[name].shape[axis])
    made = []
    for start in range(0, size, BATCH):
        stop = min(start + BATCH, size)
        made.append(Batch(some_samples(prepared, axes, range(start, stop)), list(range(start, stop))))
    return Samples(made, "given arrays")
