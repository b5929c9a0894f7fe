"""A plan's graph as code that is made once and runs over the modules of any number of sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy

import torch
from torch import fx, nn

from tilewright.runtime.plan.graph import set_tensor
from tilewright.runtime.plan.records import NodeRecord


class GraphCode:
    """Modules of a plan's graph, decoded and compiled once, for others of the same code over modules of their own.

    A copy or pickle of it is empty: the plan makes it again.
    """

    def __init__(self) -> None:
        self._made: dict[str, tuple[list[NodeRecord], fx.GraphModule]] = {}

    def made(self, name: str, nodes: list[NodeRecord], build: Callable[[], fx.GraphModule]) -> fx.GraphModule:
        """The module of that name of the graph of these nodes, built now if it was not for these very nodes."""
        made = self._made.get(name)
        if made is None or made[0] is not nodes:
            made = self._made[name] = nodes, build()
        return made[1]

    def over(
        self,
        nodes: list[NodeRecord],
        modules: Mapping[str, nn.Module],
        tensors: Mapping[str, torch.Tensor],
        build: Callable[[], fx.GraphModule],
    ) -> fx.GraphModule:
        """The graph of these nodes over modules and tensors by their paths.

        build: makes its module over any modules of these paths, if that was not done for these very nodes.
        """
        first = self.made("run", nodes, build)
        made: fx.GraphModule = object.__new__(type(first))  # fx makes and compiles a class for each call of its own
        made.__dict__ = {name: copy(value) if isinstance(value, dict) else value for name, value in vars(first).items()}
        made._modules, made._buffers = {}, {}
        for path, module in modules.items():  # those that loops alone call are found by their paths too
            made.add_submodule(path, module)
        for node in first.graph.nodes:
            if node.op == "get_attr":
                set_tensor(made, node.target, tensors[node.target])
        return made

    def __deepcopy__(self, _memo: object) -> GraphCode:
        return GraphCode()

    def __reduce__(self) -> tuple[type[GraphCode], tuple[()]]:
        return GraphCode, ()
