"""Places of tensors in memory: tied weights are one tensor under several names, and are known by that."""

from __future__ import annotations

from torch import Tensor


def memory_place(tensor: Tensor) -> object:
    """Place of a tensor in memory, equal for tensors whose first number is the same one.

    Tensors on the meta device have no address; they are told apart by their storage.
    """
    if tensor.is_meta:
        return tensor.untyped_storage()._cdata, tensor.storage_offset()
    return tensor.data_ptr()
