"""The part of a graph that some inputs have no influence on, which is computed once while the others stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from tilewright.runtime.chip.samples import samples_read


class KeptPart:
    """A graph in two parts: what depends on none of some inputs, whose values are kept, and the rest.

    While a decoder writes a text, all that its encoder gives is such a part. Inputs are compared, not assumed: where
    one differs, or samples have other numbers, the part is computed again.
    """

    def __init__(self, module: fx.GraphModule, varying: Collection[int]) -> None:
        """Take a graph over its modules. varying: places of the inputs that differ from call to call."""
        placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
        inputs = {placeholders[place] for place in varying}
        self._fixed = [place for place in range(len(placeholders)) if place not in varying]
        self._varying = sorted(varying)
        depends = _dependents(module.graph, inputs)
        (output,) = (node for node in module.graph.nodes if node.op == "output")
        self._kept_nodes = list(
            dict.fromkeys(
                node
                for user in module.graph.nodes
                if user in depends or user is output
                for node in user.all_input_nodes
                if node not in depends and node.op != "get_attr"
            )
        )
        fixed = [placeholders[place] for place in self._fixed]
        self._first = _module(module, fixed, lambda node: node not in depends, self._kept_nodes)
        varied = [placeholders[place] for place in self._varying]
        later = {node for user in [*depends, output] for node in user.all_input_nodes if node.op == "get_attr"}
        self._rest = _module(
            module, [*self._kept_nodes, *varied], lambda node: node in depends or node in later, output.args[0]
        )
        self.made = 0
        """Times that the part was computed."""
        self._last: tuple[tuple[int, ...], list[Tensor], list[Any]] | None = None

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """Results of the graph."""
        fixed, samples = [inputs[place] for place in self._fixed], tuple(samples_read())
        if self._last is None or self._last[0] != samples or not _same(self._last[1], fixed):
            self.made += 1
            self._last = samples, [value.clone() for value in fixed], list(self._first(*fixed))
        results: list[Tensor] = self._rest(*self._last[2], *(inputs[place] for place in self._varying))
        return results


def _dependents(graph: fx.Graph, inputs: Collection[fx.Node]) -> set[fx.Node]:
    """Nodes that some inputs have influence on, these included."""
    found = set(inputs)
    for node in graph.nodes:
        if node.op != "output" and any(one in found for one in node.all_input_nodes):
            found.add(node)
    return found


def _module(
    module: fx.GraphModule, inputs: Sequence[fx.Node], belongs: Callable[[fx.Node], bool], results: Any
) -> fx.GraphModule:
    """Part of a graph over the same modules: from inputs to results, through the nodes that belong to it."""
    graph, made = fx.Graph(), {}
    for node in inputs:
        made[node] = graph.placeholder(node.name)
    for node in module.graph.nodes:
        if node.op not in ("placeholder", "output") and node not in made and belongs(node):
            made[node] = graph.node_copy(node, made.__getitem__)
    graph.output(fx.node.map_arg(results, made.__getitem__))
    return fx.GraphModule(module, graph)


def _same(known: Sequence[Tensor], given: Sequence[Tensor]) -> bool:
    return all(one.shape == other.shape and torch.equal(one, other) for one, other in zip(known, given, strict=True))
