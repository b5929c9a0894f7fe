"""Origin of the first NaN or infinity of a run, of those that reach its outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from tilewright.runtime.execution.shape_run import function_of
from tilewright.runtime.plan.names import LAYER_PREFIX, MATMUL_PREFIX


@dataclass(frozen=True)
class NonfiniteOrigin:
    """The node of a plan's graph whose result first holds a NaN (an infinity, if no output holds a NaN)."""

    node: str
    """Name of the node in the plan's graph."""
    source: str
    """Layer, product, operator or input of the plan that the node is."""
    kind: str
    """Kind of number: NaN or infinity."""
    count: int
    """Number of NaNs, or of infinities, in the node's result: those of ``kind``."""
    size: int
    """Size of the node's result, in numbers."""
    outputs: dict[str, int]
    """NaNs and infinities of each of the plan's outputs that holds some."""
    infinities_from: str | None = None
    """Node where the infinities arose that a NaN arises from (inf - inf, the softmax of -inf alone), if any."""

    @property
    def sentence(self) -> str:
        """One line about the origin, without a full stop."""
        where = f"{self.source} (node {self.node!r}: {self.count} of its {self.size} numbers)"
        behind = f", from the infinities of node {self.infinities_from!r}" if self.infinities_from else ""
        return f"the first {self.kind} arises in {where}{behind}"


def find_origin(module: fx.GraphModule, inputs: Iterable[Tensor], outputs: Sequence[str]) -> NonfiniteOrigin | None:
    """Run the graph and look at every result. None if the outputs, of these names, are finite.

    Infinities that reach no output, as those of an attention mask, are none of its business.
    """
    watch = _Watch(module)
    results = watch.run(*inputs)
    counts = {name: int((~torch.isfinite(value)).sum()) for name, value in zip(outputs, results, strict=True)}
    counts = {name: count for name, count in counts.items() if count}
    if not counts:
        return None
    (end,) = (node for node in module.graph.nodes if node.op == "output")
    kind = "NaN" if any(watch.found[node][0] for node in end.all_input_nodes) else "infinity"
    node = watch.first(end, kind)
    infinities = None
    if kind == "NaN" and any(watch.found[operand][1] for operand in node.all_input_nodes):
        infinities = watch.first(node, "infinity").name
    nans, infinite, size = watch.found[node]
    return NonfiniteOrigin(
        node.name, _source(node), kind, nans if kind == "NaN" else infinite, size, counts, infinities
    )


def _source(node: fx.Node) -> str:
    path = str(node.target)
    if node.op == "call_function":
        return f"operator {function_of(node)}"
    for what, prefix in (("layer", LAYER_PREFIX), ("product", MATMUL_PREFIX)):
        if node.op == "call_module" and path.startswith(prefix):
            return f"{what} {path.removeprefix(prefix)!r}"
    return f"input {node.meta['input']!r}" if node.op == "placeholder" else f"tensor {path!r}"


class _Watch(fx.Interpreter):
    """Counts the NaNs, the infinities and the numbers of every node's result."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.found: dict[fx.Node, tuple[int, int, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """The node's result."""
        result = super().run_node(n)
        values = result if isinstance(result, tuple | list) else [result]
        parts = [value for value in values if isinstance(value, Tensor) and value.is_floating_point()]
        nans = sum(int(part.isnan().sum()) for part in parts)
        infinite = sum(int(part.isinf().sum()) for part in parts)
        self.found[n] = nans, infinite, sum(part.numel() for part in parts)
        return result

    def first(self, end: fx.Node, kind: str) -> fx.Node:
        """The first node, in running order, from which this kind of number came to ``end`` or its operands."""
        place = 0 if kind == "NaN" else 1
        reached: set[fx.Node] = set()
        waiting = list(end.all_input_nodes)
        while waiting:
            node = waiting.pop()
            if node not in reached and self.found[node][place]:
                reached.add(node)
                waiting.extend(node.all_input_nodes)
        return next(node for node in self.found if node in reached)
