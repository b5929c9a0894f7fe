"""Runs of a graph in float64, where a difference is no rounding.

Long sums round: a convolution over half a million values differs from the product that it is by more than a pass may
leave in float32, and by nothing that matters in float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional
from torch.utils import _pytree as pytree

from tilewright.runtime.units.full_precision import DigitalLinear
from tilewright.runtime.units.loop import Loop

TOLERANCE = 1e-9
"""Largest relative difference between two computations of the same in float64."""


@torch.inference_mode()
def in_double(module: fx.GraphModule, inputs: Iterable[Tensor]) -> Sequence[Tensor]:
    """The graph's outputs, computed in float64. Weights are copied one at a time, as they are used."""
    outputs: Sequence[Tensor] = InDouble(module).run(*inputs)
    return outputs


class InDouble(fx.Interpreter):
    """Interpreter of a graph with every float32 tensor in float64."""

    def run_node(self, n: fx.Node) -> Any:
        """The value of a node, in float64."""
        return _double(super().run_node(n))

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A call of an operator: where it names float32, float64 is meant."""
        args, kwargs = pytree.tree_map(lambda value: torch.float64 if value is torch.float32 else value, (args, kwargs))
        return super().call_function(target, args, kwargs)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A call of a layer or a product, in float64."""
        module = self.fetch_attr(target)
        if isinstance(module, Loop):
            return _LoopInDouble(module.body, module.states)(*args)
        if not isinstance(module, DigitalLinear):
            return super().call_module(target, args, kwargs)
        bias = module.bias.double() if module.bias is not None else None
        return functional.linear(args[0], module.weight.double(), bias)


class _LoopInDouble(Loop):
    """A loop whose steps are computed in float64."""

    def step(self, *inputs: Tensor) -> list[Tensor]:
        """Results of the body."""
        results: list[Tensor] = InDouble(self.body).run(*inputs)
        return results


def _double(value: Any) -> Any:
    """Value, a tensor or a nest of them, with its float32 tensors in float64."""
    return pytree.tree_map(
        lambda part: part.double() if isinstance(part, Tensor) and part.dtype == torch.float32 else part, value
    )
