"""New nodes in place of old ones, with the symbolic shapes that later passes ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._dispatch.python import enable_python_dispatcher

from tilewright.compiler.network.network import Network
from tilewright.runtime.plan import operators

aten = torch.ops.aten


class Rewriter:
    """Builder of the nodes that replace one node, in front of it."""

    def __init__(self, network: Network, node: fx.Node) -> None:
        self.network, self.node = network, node
        self._fake_mode: Any = node.meta["val"].fake_mode if "val" in node.meta else None

    def call(self, function: Any, *args: Any, sizes: Sequence[int | fx.Node] | None = None) -> fx.Node:
        """A call of ``function``; its arguments may be nodes, numbers and lists of them.

        sizes: of the result, a tensor of the old node's type, where torch takes long to find them by itself.
        """
        with self.node.graph.inserting_before(self.node):
            made = self.node.graph.call_function(function, args)
        made.meta = {key: value for key, value in self.node.meta.items() if key != "val"}
        with self._fake_mode, enable_python_dispatcher():  # kernels in C++ would fix the sizes that may vary
            if sizes is None:
                made.meta["val"] = function(*_values(args))
            else:
                made.meta["val"] = self.node.meta["val"].new_empty(_values(tuple(sizes)))
        return made

    def call_module(self, path: str, args: tuple[fx.Node | int, ...], added: Sequence[int] = ()) -> fx.Node:
        """A call of the module at ``path``: its result is the old node's, with dimensions of one ``added`` to it."""
        holder = self.node.graph.owning_module
        if holder is not None and holder is not self.network.graph:  # a loop's body
            holder.add_submodule(path, self.network.graph.get_submodule(path))
        with self.node.graph.inserting_before(self.node):
            made = self.node.graph.call_module(path, args)
        made.meta = dict(self.node.meta)
        with self._fake_mode:
            for dimension in added:
                made.meta["val"] = made.meta["val"].unsqueeze(dimension)
        return made

    def constant(self, wanted: str, tensor: Tensor, made_of: tuple[str, ...] = ()) -> fx.Node:
        """A new tensor of the graph, computed from those at the paths ``made_of``: the one at ``wanted`` if empty."""
        path = self.network.add_tensor(wanted, tensor, made_of or (wanted,))
        with self.node.graph.inserting_before(self.node):
            made = self.node.graph.get_attr(path)
        if self._fake_mode is None:  # lowering is over
            made.meta["shape"] = tuple(tensor.shape)
        else:
            made.meta["val"] = self._fake_mode.from_tensor(tensor, static_shapes=True)
        return made

    def size(self, node: fx.Node, dimension: int) -> int | fx.Node:
        """A size of a tensor: a number where it is fixed."""
        size = node.meta["val"].shape[dimension]
        return size if isinstance(size, int) else self.call(aten.sym_size.int, node, dimension)

    def arithmetic(self, function: Any, left: int | fx.Node, right: int | fx.Node) -> int | fx.Node:
        """``function(left, right)`` on sizes: computed now if it can be."""
        if isinstance(left, int) and isinstance(right, int):
            return int(function(left, right))
        return self.call(function, left, right)

    def replace_with(self, new: fx.Node) -> None:
        """Let ``new`` stand where the old node stood."""
        new.meta["val"] = self.node.meta["val"]
        self.network.replace(self.node, new)


def _values(arguments: Any) -> Any:
    return fx.node.map_arg(arguments, lambda node: node.meta["val"])


def arguments_of(node: fx.Node) -> dict[str, Any]:
    """All arguments of a node that calls an ATen operator by their names, with defaults filled in."""
    return operators.arguments_of(node.target, node.args, node.kwargs)


def shape_of(node: object) -> Sequence[int | str | torch.SymInt] | None:
    """The symbolic shape of a node's tensor, plain once lowering is over; None for anything else."""
    if not isinstance(node, fx.Node):
        return None
    value = node.meta.get("val")
    shape: Sequence[int | str | torch.SymInt] | None = (
        value.shape if isinstance(value, Tensor) else node.meta.get("shape")
    )
    return shape


def is_float(node: object) -> bool:
    """True if a node gives one tensor, and that is of floating point numbers."""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return isinstance(value, Tensor) and value.is_floating_point()


def module_of(node: fx.Node) -> str:
    """Path of the model's module that a node was traced in; empty for the model itself."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]) if stack else ""


def depends_on_activations(node: fx.Node) -> bool:
    """True if a value is computed from activations, not from positions or masks alone (rotary angles are)."""
    seen: set[fx.Node] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        is_float_input = current.op == "placeholder" and is_float(current)
        if current.op == "call_module" or current.target == aten.embedding.default or is_float_input:
            return True
        waiting.extend(current.all_input_nodes)
    return False
