"""Modules that stand in for others while a network trains, and the plain network that they stand for."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class Restorable:
    """Base of modules that are another module with something imposed on it."""

    def restore(self) -> None:
        """Be the plain module again, in place, with the weights that it has now."""
        raise NotImplementedError

    def trained(self) -> dict[str, Tensor]:
        """Tensors that were trained beside the module's parameters, by the names that a checkpoint has beside these."""
        return {}


def restored(module: Module) -> Module:
    """A network whose every part is plain again, in place."""
    for part in list(module.modules()):
        if isinstance(part, Restorable):
            part.restore()
    return module


def has_restorable(module: nn.Module) -> bool:
    """True if a part of a network stands in for another module."""
    return any(isinstance(part, Restorable) for part in module.modules())


def trained_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Ranges and channel scales of a network that is being trained, by the names that a checkpoint has for them.

    ``X.input_range`` [row-blocks] is the range of the inputs divided by ``X.channel_scale`` [inputs], and
    ``X.row_splits`` [row-blocks] says which inputs a range is of; ``P.left_range`` and ``P.right_range`` are those of a
    product P.
    """
    return {
        f"{name}.{kind}".removeprefix("."): tensor.detach().clone().cpu()
        for name, part in module.named_modules()
        if isinstance(part, Restorable)
        for kind, tensor in part.trained().items()
    }


def plain_copy(module: Module) -> Module:
    """The plain network of one that is being trained, as a copy; the network itself if nothing is imposed on it."""
    return restored(copy.deepcopy(module)) if has_restorable(module) else module
