"""Refusal of weights that are NaN or infinite: a chip would make numbers of them where the model itself has none."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tilewright.runtime.chip.nonfinite import all_finite
from tilewright.runtime.storage.memory_map import used
from tilewright.targets.errors import InputError

STATISTICS = ("running_mean", "running_var")
"""Buffers of a normalisation that are weights in all but name."""


def check_finite(module: nn.Module) -> None:
    """Raise ``InputError`` for the first weight of a module that is not finite.

    Other buffers may be infinite, as masks are, but not NaN.
    """
    check_tensors(module.named_parameters(), infinity_allowed=False)
    for name, buffer in module.named_buffers():
        check_tensors([(name, buffer)], infinity_allowed=not name.endswith(STATISTICS))


def check_tensors(tensors: Iterable[tuple[str, Tensor]], *, infinity_allowed: bool) -> None:
    """Raise ``InputError`` for the first tensor that is not finite, one by one: they may be more than memory holds."""
    for name, tensor in tensors:
        if is_finite(tensor):
            continue
        found = int(tensor.isnan().sum())
        what = "NaN"
        if not found and not infinity_allowed:
            found, what = int(tensor.isinf().sum()), "infinite"
        if found:
            raise InputError(
                f"weight {name!r} has {found} of {tensor.numel()} values that are {what}: its training diverged or its "
                "file is damaged; compile a checkpoint of before"
            )


@torch.inference_mode()
def is_finite(tensor: Tensor) -> bool:
    """True if all values of a tensor are finite, or it has no numbers that could be anything else."""
    if tensor.is_meta or not tensor.is_floating_point():
        return True
    return all_finite(used(tensor))
