"""Layers that simulate a chip themselves, computed without it: their converters and noise are the target's to make.

Modules of AIHWKit-Lightning have the weights of torch's own layers, and an ``input_range`` beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from tilewright.compiler.engineering import counted
from tilewright.compiler.network.trained_layers import CLIP, RANGE, WEIGHT, clipped, is_stored_transposed

SIMULATING = ("aihwkit_lightning", "tilewright")
"""Packages whose layers put converters and noise into training."""
CONVOLUTIONS = {3: nn.Conv1d, 4: nn.Conv2d, 5: nn.Conv3d}
"""Number of dimensions of a kernel -> torch's own layer."""


@contextmanager
def computing_plainly(module: nn.Module) -> Iterator[list[str]]:
    """Let layers that simulate a chip compute as torch's own, with weights cut at their learned clips.

    Gives notes on it. Every layer is left as it was.
    """
    layers = [part for part in module.modules() if _simulates(part)]
    before = [(part._parameters[WEIGHT], vars(part).get("forward")) for part in layers]
    for part, (weight, _) in zip(layers, before, strict=True):
        clip = getattr(part, CLIP, None)
        part.forward = partial(_plain(part), part)
        if isinstance(clip, Tensor) and weight is not None:
            with torch.no_grad():
                cut = clipped(weight.reshape(len(weight), -1), clip).view(weight.shape)
            part._parameters[WEIGHT] = nn.Parameter(cut, requires_grad=False)
    kinds = sorted({type(part).__name__ for part in layers})
    notes = [
        f"{counted(len(layers), 'layer')} that the model simulates on a chip ({', '.join(kinds)}): computed without "
        "converters and noise of their own, which the target has"
    ]
    try:
        yield notes if layers else []
    finally:
        for part, (weight, forward) in zip(layers, before, strict=True):
            part._parameters[WEIGHT] = weight
            if forward is None:
                del part.forward
            else:
                part.forward = forward


def _simulates(part: nn.Module) -> bool:
    """True for a layer with an input range whose class is of a package that simulates chips."""
    theirs = any(kind.__module__.split(".")[0] in SIMULATING for kind in type(part).__mro__)
    return theirs and isinstance(getattr(part, RANGE, None), Tensor) and part._parameters.get(WEIGHT) is not None


def _plain(part: nn.Module) -> Callable[[Any, Tensor], Tensor]:
    """Function of a layer and its inputs that computes what torch's own layer would."""
    if isinstance(part, _ConvNd):
        return _convolution
    return _transposed if is_stored_transposed(part) else _linear


def _linear(part: Any, x: Tensor) -> Tensor:
    return functional.linear(x, part.weight, part.bias)


def _transposed(part: Any, x: Tensor) -> Tensor:
    return functional.linear(x, part.weight.T, part.bias)


def _convolution(part: Any, x: Tensor) -> Tensor:
    of_torch: Any = CONVOLUTIONS[part.weight.dim()]
    outputs: Tensor = of_torch._conv_forward(part, x, part.weight, part.bias)
    return outputs
