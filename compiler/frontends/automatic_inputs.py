"""Inputs made for a model: small examples to compare on, and a calibration set where the user gave none."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any, Literal

import torch
from torch import Tensor

from tilewright.compiler.network.traced import Inputs
from tilewright.runtime.execution.inputs import numbers_of
from tilewright.runtime.plan.records import Calibration, InputRecord
from tilewright.targets.errors import InputError, nearest

RANDOM_SAMPLES = 32
FEW_SAMPLES = 8
"""Random samples of inputs that have ``LARGE`` values or more."""
LARGE = 10_000
RANDOM_LENGTHS = (8, 16, 24, 32)
EXAMPLE_BATCHES = (2, 1, 3)
EXAMPLE_LENGTHS = (7, 5, 12)
"""Lengths of the inputs on which the graph is compared with the model; of one, tracing would take it for fixed."""

LARGEST_INPUT = 2**28
"""Largest number of elements of one example input."""

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class InputSpec:
    """One input of a model, and the values that make sense for it."""

    name: str
    shape: tuple[int | str, ...]
    """Sizes, or names of sizes that may vary."""
    kind: Literal["numbers", "tokens", "mask", "zeros"]
    """Kind of values: normal numbers; tokens, whole and below ``bound``; a mask of ones, zero where padded; zeros."""
    dtype: torch.dtype = torch.int64
    bound: int = 2
    padding: int | None = None
    """Token that pads a text behind its end."""


@dataclass
class ModelInputs:
    """Inputs of a model, and the means to make some."""

    specs: list[InputSpec]
    example_sizes: list[dict[str, int]]
    """Sizes to compare the graph with the model at; it is traced at the first."""
    batch: str | None = None
    """Name of the size that counts samples."""
    length: str | None = None
    """Name of the size that counts tokens, which random samples vary."""
    limits: dict[str, int] = field(default_factory=dict)
    """Largest value of each size that examples have, by its name."""
    most: dict[str, int] = field(default_factory=dict)
    """Largest value of each size that the model can be run at, by its name, where that is known."""
    encode: Callable[[str], Inputs] | None = None
    """Encoder of one text by the model's tokenizer, unpadded."""

    @property
    def names(self) -> list[str]:
        """Names of the inputs, in order."""
        return [spec.name for spec in self.specs]

    def example(self, sizes: Sizes, *, padded: bool, seed: int = 0) -> Inputs:
        """Random values of a fixed seed; with ``padded``, rows get shorter from one to the next.

        Raises ``InputError`` for sizes that would not fit in memory.
        """
        generator = torch.Generator().manual_seed(seed * 1_000_003 + sum(sizes.values()))
        sizes = {name: min(size, self.limits.get(name, size)) for name, size in sizes.items()}
        made: Inputs = {}
        for spec in self.specs:
            shape = [size if isinstance(size, int) else sizes[size] for size in spec.shape]
            if not 0 < math.prod(shape) <= LARGEST_INPUT:
                raise InputError(
                    f"input {spec.name!r} has shape {list(spec.shape)}: {math.prod(shape)} elements, allowed are 1 to "
                    f"{LARGEST_INPUT}"
                )
            made[spec.name] = _values(spec, shape, padded, generator)
        return made

    def examples(self) -> list[Inputs]:
        """Examples, padded: one for each of ``example_sizes``."""
        return [self.example(sizes, padded=True) for sizes in self.example_sizes]

    def fixed_sizes(self, traced: Sequence[InputRecord]) -> dict[str, int]:
        """Numbers of sizes that may vary in the model and are fixed in the traced graph, by name."""
        declared = {spec.name: spec.shape for spec in self.specs}
        return {
            wanted: found
            for record in traced
            for wanted, found in zip(declared[record.name], record.shape, strict=True)
            if isinstance(wanted, str) and isinstance(found, int)
        }

    def with_sizes(self, fixed: Mapping[str, int]) -> ModelInputs:
        """A copy with some sizes fixed."""
        return replace(
            self,
            example_sizes=[{**sizes, **fixed} for sizes in self.example_sizes],
            batch=None if self.batch in fixed else self.batch,
            length=None if self.length in fixed else self.length,
        )


def _values(spec: InputSpec, shape: list[int], padded: bool, generator: torch.Generator) -> Tensor:
    if spec.kind == "numbers":
        return torch.randn(shape, generator=generator).to(spec.dtype)
    if spec.kind == "zeros":
        return torch.zeros(shape, dtype=spec.dtype)
    mask = torch.ones(shape, dtype=torch.bool)
    if padded and len(shape) == 2 and (spec.kind == "mask" or spec.padding is not None):
        for row in range(1, shape[0]):
            mask[row, max(1, shape[1] - 2 * row) :] = False
    if spec.kind == "mask":
        return mask.to(spec.dtype)
    tokens = torch.randint(0, spec.bound, shape, generator=generator, dtype=spec.dtype)
    return torch.where(mask, tokens, torch.full_like(tokens, spec.padding or 0))


def calibration_set(wanted: ModelInputs, given: Any) -> tuple[list[Inputs], Calibration]:
    """The calibration inputs, one sample each, and their record for the plan. Raises ``InputError``."""
    if given is None:
        return _automatic(wanted)
    if isinstance(given, Mapping):
        samples = split_samples(given, wanted.names)
        return samples, Calibration(source="given arrays", samples=len(samples), automatic=False)
    if isinstance(given, Sequence) and given and all(isinstance(text, str) for text in given):
        if wanted.encode is None:
            raise InputError("calibration texts need a tokenizer, and this model has none; give input arrays instead")
        texts = [wanted.encode(text) for text in given]
        return texts, Calibration(source="given texts", samples=len(texts), automatic=False)
    raise InputError(
        f"calibration is a {type(given).__name__}; it must be a list of texts or a mapping of input arrays"
    )


def _automatic(wanted: ModelInputs) -> tuple[list[Inputs], Calibration]:
    if wanted.encode is not None:
        text = files("tilewright.compiler.samples").joinpath("calibration.txt").read_text(encoding="utf-8")
        samples = [wanted.encode(line) for line in text.splitlines() if line.strip()]
        source = "automatic: the English sentences that come with tilewright"
        return samples, Calibration(source=source, samples=len(samples), automatic=True)
    samples = _random_samples(wanted)
    has_tokens = any(spec.kind == "tokens" for spec in wanted.specs)
    made = "random token ids, since the model has no tokenizer" if has_tokens else "random numbers of a normal law"
    source = f"automatic: {made}; give real inputs for real ranges"
    return samples, Calibration(source=source, samples=len(samples), automatic=True)


def longest_sizes(wanted: ModelInputs) -> dict[str, int]:
    """The sizes of the longest random sample."""
    sizes = dict(wanted.example_sizes[0])
    if wanted.length is not None:
        sizes[wanted.length] = max(map(_random_length, range(RANDOM_SAMPLES)))
    return sizes


def _random_length(number: int) -> int:
    return RANDOM_LENGTHS[number % len(RANDOM_LENGTHS)] + number // 4


def _random_samples(wanted: ModelInputs) -> list[Inputs]:
    sizes = wanted.example_sizes[0]
    small = {**sizes, wanted.batch: 1} if wanted.batch is not None else sizes
    values = sum(value.numel() for value in wanted.example(small, padded=False).values())
    count = FEW_SAMPLES if values >= LARGE else RANDOM_SAMPLES
    samples = []
    for number in range(count):
        this = small if wanted.length is None else {**small, wanted.length: _random_length(number)}
        samples.append(wanted.example(this, padded=False, seed=number + 1))
    return samples


def split_samples(arrays: Mapping[str, Any], names: Sequence[str]) -> list[Inputs]:
    """Arrays with samples along their first dimension, as one mapping a sample. Raises ``InputError``."""
    for name in arrays:
        if name not in names:
            raise InputError(
                f"calibration holds an input {name!r} that the model does not take; {nearest(name, names)}"
            )
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(f"calibration lacks the model's input {missing[0]!r}")
    tensors = {name: numbers_of(f"calibration input {name!r}", arrays[name]) for name in names}
    counts = {name: tensor.shape[0] if tensor.dim() else 0 for name, tensor in tensors.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise InputError(f"calibration inputs must have one number of samples, at least one; they have {counts}")
    count = next(iter(counts.values()))
    return [_unpadded({name: tensor[place : place + 1] for name, tensor in tensors.items()}) for place in range(count)]


def _unpadded(sample: Inputs) -> Inputs:
    """A text's inputs without its padded end, which no output depends on."""
    mask = sample.get("attention_mask")
    if mask is None or mask.dim() != 2 or not bool(mask.any()):
        return sample
    length = int(mask[0].nonzero().max()) + 1
    same = [name for name, value in sample.items() if value.dim() >= 2 and value.shape[1] == mask.shape[1]]
    return {name: value[:, :length] if name in same else value for name, value in sample.items()}
