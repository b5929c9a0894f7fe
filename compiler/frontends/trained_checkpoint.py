"""Input ranges, channel scales and clips in a HuggingFace model's files: the model was trained for a chip."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tilewright.compiler.engineering import counted
from tilewright.compiler.network.scratch import Scratch
from tilewright.compiler.network.trained_layers import (
    RANGE,
    WEIGHT,
    Trained,
    beside,
    clipped,
    matrices_of,
    trained_layers_of,
    weight_clips,
)
from tilewright.compiler.network.trained_products import LEFT, RIGHT, TrainedProduct, trained_products
from tilewright.runtime.storage.memory_map import used


@dataclass(frozen=True)
class TrainedCheckpoint:
    """Ranges that a checkpoint was trained with, and what became of the tensors beside its weights."""

    trained: Trained
    products: dict[str, TrainedProduct]
    """Ranges of the operands of products, by their names."""
    used: set[str]
    """Names, as transformers calls them, of the tensors that were made use of."""
    notes: list[str]


def read_trained(model: Any, extra: Collection[str], weights: Mapping[str, Tensor]) -> TrainedCheckpoint:
    """Ranges of a loaded model, whose weights are cut where clips were learned.

    extra: names of tensors in the files that are no part of the model. weights: all tensors of the files, by name.
    Raises ``InputError`` for a range, scale or clip that cannot be one.
    """
    matrices = matrices_of(model)
    names = _as_in_model(model, extra, beside(matrices))
    tensors = {own: weights[name] for name, own in names.items() if name in weights}
    clips = weight_clips(tensors, matrices)
    notes = _cut_weights(model, clips)
    made_use_of = beside([*(name for name in matrices if name.removesuffix(WEIGHT) + RANGE in tensors), *clips])
    of_products = {name: weights[name] for name in extra if name.endswith((LEFT, RIGHT)) and name in weights}
    return TrainedCheckpoint(
        trained_layers_of(model, tensors),
        trained_products(of_products),
        {name for name, own in names.items() if own in made_use_of} | set(of_products),
        notes,
    )


def _as_in_model(model: Any, extra: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Tensors of the files whose names, with or without the prefix of the model's base, are known: name -> known name.

    A model with a head finds its weights in the files of one without, and the other way round; transformers matches
    weights in this way.
    """
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    found: dict[str, str] = {}
    for name in sorted(extra):
        alike = (name, name.removeprefix(prefix), prefix + name)
        own = next((one for one in alike if one in known), None)
        if own is not None:
            found[name] = own
    return found


@torch.no_grad()
def _cut_weights(model: Any, clips: Mapping[str, Tensor]) -> list[str]:
    """Cut the weights of a model at their learned clips. Returns a note on it, if there were any."""
    scratch, cut, total = Scratch(), 0, 0
    for name, clip in clips.items():
        weight = model.get_parameter(name)
        matrix = used(weight.data).reshape(clip.shape[1], -1)
        made = clipped(matrix, clip)
        cut, total = cut + int((made != matrix).sum()), total + matrix.numel()
        made = scratch.empty(weight.shape, weight.data).copy_(made.view(weight.shape))
        # a parameter of its own: a table that the matrix was tied to stays as it is
        model.get_submodule(name.removesuffix(f".{WEIGHT}")).weight = nn.Parameter(made, requires_grad=False)
    if not cut:
        return []
    return [
        f"{cut} of {total} weights lie outside the clips that were learned for {counted(len(clips), 'layer')}, and "
        "are cut at them: the checkpoint was trained so"
    ]
