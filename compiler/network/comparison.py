"""Comparison of the graph with the model, after each pass that changes it.

Outputs are compared with the model's own, in float32. Where they differ by more than that should, the graphs before and
after the pass are run in float64: if they differ there as well it is the pass, else the rounding of long sums. A pass
that multiplies weights rounds them to float32, which float64 sees: there, it may differ by what float32 may elsewhere.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from tilewright.compiler.network import double_precision
from tilewright.compiler.network.double_precision import in_double
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.traced import Inputs
from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.storage.memory_place import memory_place
from tilewright.runtime.units.full_precision import DigitalLinear

TOLERANCE = 1e-5
"""Largest |difference| over largest |output| that a pass may leave on the ideal target (float32)."""
LARGEST_ROUNDING = 1e-3
"""Largest relative error (float32) that a pass may leave where float64 finds none: rounding by more is a bug."""

AT_ONCE = 2**22
"""Numbers that are compared at once, in float64: outputs may be large."""


class Comparison:
    """Comparison of the graph with the model, pass after pass."""

    def __init__(self, network: Network) -> None:
        """Note the graph as it is before the first pass."""
        self.network, self.error = network, 0.0
        self._checked = GraphState.of(network).kept() if network.traced.has_weights else None
        self._compared = False
        self._exact: list[Sequence[Tensor]] | None = None

    def holds(self, *, rounds_weights: bool) -> bool:
        """True if the graph still computes the model, but for rounding. ``error`` is the difference, in float32.

        rounds_weights: True after a pass that multiplied weights.
        """
        state, before = GraphState.of(self.network), self._checked
        if self._compared and state == before:
            return True
        traced = self.network.traced
        self.error = largest_relative_error(self.network.graph, zip(traced.examples, traced.expected, strict=True))
        self._checked, self._compared = state.kept(), True
        if self.error <= TOLERANCE:
            self._exact = None if rounds_weights else self._exact
            return True
        tolerance = TOLERANCE if rounds_weights else double_precision.TOLERANCE
        return self.error <= LARGEST_ROUNDING and self._only_rounds(before, tolerance)

    def _only_rounds(self, before: GraphState | None, tolerance: float) -> bool:
        """True if in float64 the graph computes what it did with these weights before, but for that much."""
        examples = self.network.traced.examples
        if self._exact is None:
            assert before is not None
            self._exact = [in_double(before.module(), example.values()) for example in examples]
        found = [in_double(self.network.graph, example.values()) for example in examples]
        holds = all(
            relative_error(output, reference) <= tolerance
            for outputs, references in zip(found, self._exact, strict=True)
            for output, reference in zip(outputs, references, strict=True)
        )
        self._exact = found if holds else self._exact
        return holds


@dataclass
class GraphState:
    """State that the graph's outputs follow from: passes that leave it as it is need no new comparison."""

    nodes: list[tuple[object, ...]]
    places: Sequence[object]
    """Places in memory of the tensors of get_attr nodes and layers."""
    graph: fx.Graph = field(compare=False)
    parts: dict[str, Tensor | nn.Module] = field(compare=False)
    """Tensors and modules of the graph by path, held so that nothing else comes to lie in their places."""

    @classmethod
    def of(cls, network: Network) -> GraphState:
        """State of the graph as it is now."""
        graph = network.graph.graph
        all_nodes = [*graph.nodes, *(node for _, loop in network.loops for node in loop.body.graph.nodes)]
        nodes: list[tuple[object, ...]] = [(n.name, n.op, str(n.target), str(n.args), str(n.kwargs)) for n in all_nodes]
        parts: dict[str, Tensor | nn.Module] = {}
        tensors: list[Tensor | None] = []
        for node in all_nodes:
            tensor = network.tensor(node)
            if tensor is not None:
                parts[str(node.target)] = tensor
                tensors.append(tensor)
            elif node.op == "call_module" and str(node.target) not in parts:
                module = network.graph.get_submodule(str(node.target))
                if isinstance(module, DigitalLinear):  # passes give a layer other weights
                    tensors += [module.weight, module.bias]
                    module = DigitalLinear(module.weight, module.bias)
                parts[str(node.target)] = module
        places = [(memory_place(tensor), tensor.shape, tensor.stride()) for tensor in tensors if tensor is not None]
        return cls(nodes, places, graph, parts)

    def kept(self) -> GraphState:
        """Copy of the state that stays as it is, whatever passes do to the graph."""
        return replace(self, graph=copy.deepcopy(self.graph))

    def module(self) -> fx.GraphModule:
        """The graph as it was, to be run."""
        return fx.GraphModule(self.parts, self.graph)


@torch.inference_mode()
def largest_relative_error(graph: fx.GraphModule, pairs: Iterable[tuple[Inputs, list[Tensor]]]) -> float:
    """The worst of all inputs and outputs: max |graph - model| / max |model|. pairs: inputs and the model's outputs."""
    worst = 0.0
    for example, expected in pairs:
        outputs = Touching(graph).run(*example.values())
        for output, reference in zip(outputs, expected, strict=True):
            worst = max(worst, relative_error(output, reference))
    return worst


class Touching(fx.Interpreter):
    """Interpreter of a graph that notes which weights are used, so that a large model's need not stay in memory."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A call of an operator, whose weights are noted as used."""
        result = super().call_function(target, args, kwargs)
        for operand in args:
            if isinstance(operand, Tensor):
                used(operand)
        return result


def relative_error(output: Tensor, reference: Tensor) -> float:
    """Largest |output - reference| over largest |reference|; infinite if shapes differ or a NaN is on one side."""
    if output.shape != reference.shape:
        return float("inf")
    if output.numel() == 0 or torch.equal(output, reference):
        return 0.0
    difference = scale = 0.0
    for parts in zip(output.reshape(-1).split(AT_ONCE), reference.reshape(-1).split(AT_ONCE), strict=True):
        part, exact = (numbers.double() for numbers in parts)
        same = (part == exact) | (part.isnan() & exact.isnan())
        worst = torch.where(same, torch.zeros_like(part), (part - exact).abs()).max().item()
        if worst != worst:  # a NaN on one side
            return float("inf")
        finite = exact[exact.isfinite()].abs()
        difference = max(difference, worst)
        scale = max(scale, finite.max().item() if finite.numel() else 0.0)
    return difference / (scale or 1.0)
