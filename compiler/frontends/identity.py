"""Identity of a model: a hash of its weights, and their number."""

from __future__ import annotations

import hashlib

from torch import nn

from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.storage.weights_file import dtype_name, tensor_bytes


def weights_sha256(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all parameters and buffers, in the order of their names.

    Those on the meta device have no bytes.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}\0{dtype_name(tensor.dtype)}\0{list(tensor.shape)}\0".encode())
        if not tensor.is_meta:
            digest.update(tensor_bytes(used(tensor.detach()).cpu()))
    return digest.hexdigest()


def count_parameters(module: nn.Module) -> int:
    """Numbers in all parameters; torch lists a tied one once."""
    return sum(parameter.numel() for parameter in module.parameters())
