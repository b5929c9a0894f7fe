"""Identity of a model: its names, a hash of its weights, and their number."""

from __future__ import annotations

import hashlib
from typing import Literal

from torch import nn

from tilewright.runtime.plan.records import ModelIdentity
from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.storage.weights_file import dtype_name, tensor_bytes


def identity_of(
    module: nn.Module,
    source: str,
    name: str,
    architecture: str | None = None,
    *,
    classes: list[str] | None = None,
    pooling: Literal["mean", "cls"] | None = None,
    in_copies: int = 0,
) -> ModelIdentity:
    """Identity of a model by a SHA-256 over names, types, shapes and bytes of all parameters and buffers.

    They are taken in the order of their names; those on the meta device have no bytes. architecture: the class's name
    if None. classes: names of a classifier's classes. in_copies: numbers in parameters that the module does not hold
    again.
    """
    digest = hashlib.sha256()
    for own, tensor in sorted(module.state_dict().items()):
        digest.update(f"{own}\0{dtype_name(tensor.dtype)}\0{list(tensor.shape)}\0".encode())
        if not tensor.is_meta:
            digest.update(tensor_bytes(used(tensor.detach()).cpu()))
    return ModelIdentity(
        name=name,
        architecture=architecture or type(module).__name__,
        source=source,
        sha256=digest.hexdigest(),
        parameters=in_copies
        + sum(parameter.numel() for parameter in module.parameters()),  # torch lists tied ones once
        classes=classes,
        pooling=pooling,
    )
