"""Mixed precision and recomputed activations: what they ask of a layer whose numbers are those of converters."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def in_float32(compute: Callable[..., Tensor], *operands: Tensor) -> Tensor:
    """Result of a computation in float32, in the format that mixed precision or the operands ask for.

    Levels of converters are no numbers of bfloat16: autocast would round them once more.
    """
    device, own = operands[0].device.type, operands[0].dtype
    mixed = torch.is_autocast_enabled(device)
    if not mixed and own in (torch.float32, torch.float64):
        return compute(*operands)
    with torch.autocast(device, enabled=False):
        made = compute(*(operand.float() for operand in operands))
    return made.to(torch.get_autocast_dtype(device) if mixed else own)


def is_recomputing() -> bool:
    """True inside a backward pass: activations that were not kept are computed again."""
    return torch._C._current_graph_task_id() != -1
