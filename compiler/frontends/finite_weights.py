"""Refusal of weights that are NaN or infinite: a chip would make numbers of them where the model itself has none."""

from __future__ import annotations

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
    for name, parameter in module.named_parameters():
        check_tensor(name, parameter, infinity_allowed=False)
    for name, buffer in module.named_buffers():
        check_tensor(name, buffer, infinity_allowed=not name.endswith(STATISTICS))


@torch.inference_mode()
def check_tensor(name: str, tensor: Tensor, *, infinity_allowed: bool) -> None:
    """Raise ``InputError`` for a tensor that is not finite; one without numbers, or of whole ones, is."""
    if tensor.is_meta or not tensor.is_floating_point() or all_finite(used(tensor)):
        return
    found, what = int(tensor.isnan().sum()), "NaN"
    if not found and not infinity_allowed:
        found, what = int(tensor.isinf().sum()), "infinite"
    if found:
        raise InputError(
            f"weight {name!r} has {found} of {tensor.numel()} values that are {what}: its training diverged or its "
            "file is damaged; compile a checkpoint of before"
        )
