"""Progress of a training, as a loop tells it to a prepared network: how far it is, and each step of the optimiser."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from tilewright.compiler.frontends.unwrapping import check_is_module
from tilewright.compiler.training.conditions import PassCounter
from tilewright.compiler.training.prepare import conditions_of
from tilewright.compiler.training.weight_clipping import clip_weights
from tilewright.targets.errors import InputError
from tilewright.targets.quantity import is_finite
from tilewright.targets.shown import shown


def set_progress(model: nn.Module, progress: float) -> None:
    """Tell a prepared network which share of its training is done, from 0 to 1; the ramp of the noise follows it.

    Without it the noise has its full strength from the start. Raises ``InputError`` for other numbers, and a network
    that is not prepared.
    """
    if isinstance(progress, bool) or not isinstance(progress, int | float) or not 0 <= progress <= 1:
        raise InputError(f"progress is {progress!r}; allowed is 0 to 1")
    conditions_of(model).progress = float(progress)


def begin_after(model: nn.Module, passes: int) -> None:
    """Let a prepared network go on after so many training passes, where a checkpoint does not hold their number.

    A checkpoint of an adapter holds the adapter alone.
    """
    for part in model.modules():
        if isinstance(part, PassCounter):
            part.passes.clamp_(min=passes)


def after_step(model: nn.Module) -> None:
    """Clip the weights of a prepared network as its recipe asks; call it after each step of the optimiser.

    Raises ``InputError`` for a network that is not prepared.
    """
    clip_weights(model, conditions_of(model).recipe)


def check_loss(loss: float, step: int) -> None:
    """Raise ``InputError`` for a loss that is NaN or infinite."""
    if not math.isfinite(loss):
        raise InputError(
            f"the loss is {loss} at step {step}: the weights are of no use any more; try a smaller learning rate, or "
            "less noise"
        )


def parameter_groups(model: nn.Module, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Parameters of a prepared network in groups for an optimiser: weight decay is for matrices alone.

    Ranges, biases and the factors of normalisations have none: decay would shrink a range whatever the inputs are.
    Raises ``InputError`` for what is no module, and a decay below zero.
    """
    check_is_module(model)
    if not is_finite(weight_decay) or weight_decay < 0:
        raise InputError(f"weight_decay is {shown(weight_decay)}; it must be a finite number from 0")
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_range = name.rpartition(".")[2] in ("input_range", "left_range", "right_range")
            (others if parameter.dim() < 2 or is_range else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
