"""Modules that stand in for others while a network trains, and the plain network that they stand for."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn

Module = TypeVar("Module", bound=nn.Module)


class Restorable:
    """Base of modules that are another module with something imposed on it."""

    def restore(self) -> None:
        """Be the plain module again, in place, with the weights that it has now."""
        raise NotImplementedError


def restored(module: Module) -> Module:
    """A network whose every part is plain again, in place."""
    for part in list(module.modules()):
        if isinstance(part, Restorable):
            part.restore()
    return module


def has_restorable(module: nn.Module) -> bool:
    """True if a part of a network stands in for another module."""
    return any(isinstance(part, Restorable) for part in module.modules())


def plain_copy(module: Module) -> Module:
    """The plain network of one that is being trained, as a copy; the network itself if nothing is imposed on it."""
    return restored(copy.deepcopy(module)) if has_restorable(module) else module
