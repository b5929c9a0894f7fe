"""Input ranges that layers were trained with for a chip, and what belongs to them, in a checkpoint beside weights.

AIHWKit-Lightning and tilewright's own prepared modules write them as tensors beside ``X.weight``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tilewright.runtime.plan.blocks import equal_parts
from tilewright.targets.errors import InputError

WEIGHT = "weight"
RANGE, SCALE, SPLITS, CLIP = "input_range", "channel_scale", "row_splits", "learnable_weight_clip"
UPDATES = "input_range_update_idx"
SMALLEST, LARGEST = 1e-18, 1e18
"""Sizes of ranges, scales and clips."""
OF_TRAINING = (
    UPDATES, "x_min", "x_max", "learning.asked", "learning.size", "learning.covered", "learning.seen", "counter.passes",
)  # fmt: skip
"""State of training itself, which says nothing of what was trained."""
BESIDE = (RANGE, SCALE, SPLITS, CLIP, *OF_TRAINING)
"""Last words of the names of tensors that stand beside a weight."""


@dataclass(frozen=True)
class TrainedLayer:
    """Range of a layer's inputs as it was trained, one for each slice of them."""

    inputs: int
    """Number of the layer's inputs."""
    input_ranges: tuple[float, ...]
    """Largest |input| of each slice that was not clipped, in units of the input over its channel scale."""
    slices: tuple[int, ...]
    """Inputs of each slice."""
    channel_scale: Tensor | None = None
    """Numbers [inputs] by which inputs were divided, and weights multiplied; None where there were none."""
    never_updated: bool = False
    """True where the checkpoint counts no update of the ranges from data."""

    @property
    def input_range(self) -> float:
        """The largest range of a slice: that of the whole layer, its inputs divided by ``whole_scale``."""
        return max(self.input_ranges)

    @property
    def has_one_range(self) -> bool:
        """True if all slices share a range."""
        return len(set(self.input_ranges)) == 1

    @property
    def whole_scale(self) -> Tensor | None:
        """Channel scale [inputs] with which one range, the largest, is the same law as each slice's own.

        None where all are 1. A slice of range r_k is divided by r_k / r too, and its weights multiplied by that: the
        DACs see the same numbers, and weights in parts of the largest of their column and slice are the same.
        """
        if self.has_one_range:
            return self.channel_scale
        parts = [torch.full((size,), own / self.input_range)
                 for size, own in zip(self.slices, self.input_ranges, strict=True)]  # fmt: skip
        of_slices = torch.cat(parts)
        return of_slices if self.channel_scale is None else of_slices * self.channel_scale

    def is_law_of(self, other: TrainedLayer) -> bool:
        """True if both put the same numbers on the DACs for the same inputs."""
        own, others = self.channel_scale, other.channel_scale
        same_scale = own is others or (own is not None and others is not None and torch.equal(own, others))
        return self.slices == other.slices and self.input_ranges == other.input_ranges and same_scale


Trained = dict[str, TrainedLayer]
"""Trained layers by the model's name of the weight."""


def trained_layers(tensors: Mapping[str, Tensor], inputs: Mapping[str, int]) -> Trained:
    """Trained ranges among named tensors, a state dict or a file's, by the name of the weight that they stand beside.

    inputs: number of inputs of each weight that is a matrix or a kernel, by name; tensors beside others are left.
    ``X.input_range`` [], [1] or [slices] belongs to ``X.weight``; ``X.channel_scale`` [inputs] and ``X.row_splits``
    [slices], the inputs of each slice, may stand beside it; slices are equal without. Raises ``InputError`` for what
    cannot be a range or a scale.
    """
    return {
        weight: _read(weight.removesuffix(WEIGHT), size, tensors)
        for weight, size in inputs.items()
        if weight.removesuffix(WEIGHT) + RANGE in tensors
    }


def trained_layers_of(module: nn.Module, tensors: Mapping[str, Tensor] | None = None) -> Trained:
    """Trained ranges of a module's layers; of tied weights by the first of their names.

    tensors: by name; the module's own parameters and buffers if None. Raises ``InputError`` as ``trained_layers`` does.
    """
    every = dict(module.named_parameters(remove_duplicate=False))
    first = {id(weight): name for name, weight in module.named_parameters()}
    found = {**every, **dict(module.named_buffers())} if tensors is None else tensors
    trained = trained_layers(found, {name: inputs for name, (_, inputs) in matrices_of(module).items()})
    return {first[id(every[name])]: layer for name, layer in trained.items()}


def weight_clips(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, int]]) -> dict[str, Tensor]:
    """Learned clips [slices, outputs] among named tensors, by the name of the weight that they stand beside.

    shapes: outputs and inputs of each weight by name. Raises ``InputError`` for what cannot be a clip.
    """
    found = {}
    for weight, (outputs, inputs) in shapes.items():
        name = weight.removesuffix(WEIGHT) + CLIP
        if name not in tensors:
            continue
        ranges, clip = tensors.get(weight.removesuffix(WEIGHT) + RANGE), tensors[name]
        slices = len(clip) if ranges is None and clip.dim() else 1 if ranges is None else ranges.numel()
        if list(clip.shape) != [slices, outputs] or slices > inputs:
            raise InputError(
                f"{name} has shape {list(clip.shape)}; it must be {[slices, outputs]}: one clip a slice and output"
            )
        found[weight] = positive(name, clip)
    return found


def clipped(weight: Tensor, clip: Tensor) -> Tensor:
    """A matrix [outputs, inputs], each slice of a row cut at ±clip [slices, outputs], as such a layer has it."""
    parts = weight.split(equal_parts(weight.shape[1], len(clip)), dim=1)
    return torch.cat([part.clamp(-at[:, None], at[:, None]) for part, at in zip(parts, clip, strict=True)], dim=1)


def beside(weights: Collection[str]) -> set[str]:
    """Names that tensors beside these weights have."""
    return {weight.removesuffix(WEIGHT) + word for weight in weights for word in BESIDE}


def matrices_of(module: nn.Module) -> dict[str, tuple[int, int]]:
    """Outputs and inputs of every weight of a module that is a matrix or a kernel, by name."""
    found = {}
    for name, part in module.named_modules():
        weight = part._parameters.get(WEIGHT)
        if weight is not None and weight.dim() >= 2 and not isinstance(part, nn.Embedding):
            outputs, inputs = weight.shape[0], math.prod(weight.shape[1:])
            sizes = (inputs, outputs) if is_stored_transposed(part) else (outputs, inputs)
            found[f"{name}.{WEIGHT}".lstrip(".")] = sizes
    return found


def is_stored_transposed(part: nn.Module) -> bool:
    """True for a layer whose weight is [inputs, outputs]: the Conv1D of transformers, as GPT-2 has it."""
    return any(kind.__name__ == "Conv1D" for kind in type(part).__mro__)


def _read(prefix: str, inputs: int, tensors: Mapping[str, Tensor]) -> TrainedLayer:
    given = tensors[prefix + RANGE]
    if given.dim() > 1 or given.numel() > inputs:
        raise InputError(
            f"{prefix}{RANGE} has shape {list(given.shape)}; allowed are one range, or one for each slice of its "
            f"{inputs} inputs"
        )
    ranges = positive(prefix + RANGE, given)
    slices = equal_parts(inputs, ranges.numel())
    if prefix + SPLITS in tensors:
        slices = _splits(prefix + SPLITS, tensors[prefix + SPLITS], ranges.numel(), inputs)
    scale = tensors.get(prefix + SCALE)
    if scale is not None:
        if list(scale.shape) != [inputs]:
            raise InputError(f"{prefix}{SCALE} has shape {list(scale.shape)}; it must be [{inputs}]: one an input")
        scale = positive(prefix + SCALE, scale)
        scale = None if bool((scale == 1).all()) else scale
    updates = tensors.get(prefix + UPDATES)
    return TrainedLayer(
        inputs,
        tuple(map(float, ranges.flatten().tolist())),
        tuple(slices),
        scale,
        never_updated=updates is not None and not bool(updates.any()),
    )


def positive(name: str, tensor: Tensor) -> Tensor:
    """A tensor in float32.

    Raises ``InputError`` unless all its numbers are above zero, and of such a size that the product of two of them is
    a number of float32 too.
    """
    if tensor.is_complex():
        raise InputError(f"{name} holds complex numbers; it must be finite and above zero")
    values = tensor.detach().to(torch.float32)
    allowed = (values >= SMALLEST) & (values <= LARGEST)
    if not values.numel() or not bool(allowed.all()):
        wrong = values[~allowed].flatten().tolist()[:1]
        what = f"holds {wrong[0]:g}" if wrong else "is empty"
        sizes = f", from {SMALLEST:g} to {LARGEST:g}" if wrong and 0 < wrong[0] < math.inf else ""
        raise InputError(f"{name} {what}; it must be finite and above zero{sizes}")
    return values


def _splits(name: str, tensor: Tensor, count: int, inputs: int) -> list[int]:
    sizes = [float(size) for size in tensor.flatten().tolist()] if tensor.numel() <= inputs else []
    if len(sizes) != count or any(size < 1 or not size.is_integer() for size in sizes) or sum(sizes) != inputs:
        raise InputError(
            f"{name} of shape {list(tensor.shape)} does not split {inputs} inputs into {count} slices of whole numbers"
        )
    return [int(size) for size in sizes]
