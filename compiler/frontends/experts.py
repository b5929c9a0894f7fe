"""Mixtures of experts of transformers: one operator while a model is traced, then layers of each expert apart.

The router stays digital. A matrix of an expert becomes a layer of its own, which reads the vectors that the router
sends to it and gives zeros for the others; results are summed with the router's weights, one expert after the other, so
that they do not depend on the batch.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from weakref import WeakValueDictionary

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

from tilewright.compiler.network.chosen_linear import CHOSEN_LINEAR
from tilewright.targets.errors import InputError

aten = torch.ops.aten
NUMBERED = {aten.eq.Scalar, aten.select.int}
"""Operators whose last operand is the number of the expert, where they look at what all share."""
_modules: WeakValueDictionary[str, nn.Module] = WeakValueDictionary()
"""Modules of experts that are being traced, by what their operators call them."""
INTERFACE = "transformers.integrations.moe"


@torch.library.custom_op("tilewright::experts", mutates_args=())
def _experts(x: Tensor, index: Tensor, shares: Tensor, matrices: list[Tensor], module: str) -> Tensor:
    """All experts of a module, as one operator."""
    return apart(x, index, shares, matrices, module)


@_experts.register_fake
def _shape(x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


def apart(x: Tensor, index: Tensor, shares: Tensor, matrices: Sequence[Tensor], module: str) -> Tensor:
    """Sum over experts of what each makes of the vectors x [tokens, in] that are sent to it, times its share.

    index, shares: experts of each vector and their weights [tokens, experts a token]. matrices: of all experts, with
    the expert first. module: name of the module whose code joins them.
    """
    total = _part(0, x, index, shares, matrices, module)
    for number in range(1, len(matrices[0])):
        total = total + _part(number, x, index, shares, matrices, module)
    return total.to(x.dtype)


def _part(number: int, x: Tensor, index: Tensor, shares: Tensor, matrices: Sequence[Tensor], module: str) -> Tensor:
    """Part of the sum that one expert gives."""
    here = index == number
    made = _expert(_modules[module], x, here.any(dim=-1), [one[number] for one in matrices])
    return made * (shares * here).sum(dim=-1, keepdim=True)


def put_experts(graph: fx.Graph) -> None:
    """Put what experts are made of in the place of each operator of all. One is traced, the others are its copies."""
    for node in graph.find_nodes(op="call_function", target=torch.ops.tilewright.experts.default):
        x, index, shares, matrices, module = node.args
        operands = [x, index, shares, *matrices]

        def run(x: Tensor, index: Tensor, shares: Tensor, *matrices: Tensor, name: str = module) -> Tensor:
            return _part(0, x, index, shares, matrices, name)

        values = [one.meta["val"] for one in operands]
        traced = make_fx(run, tracing_mode="symbolic", pre_dispatch=True)(*values)
        placeholders = traced.graph.find_nodes(op="placeholder")
        outside = dict(zip(placeholders, operands, strict=True))
        (result,) = traced.graph.output_node().all_input_nodes
        total: fx.Node | None = None
        with graph.inserting_before(node):
            for number in range(len(values[3])):
                copies = dict(outside)
                for part in traced.graph.nodes:
                    if part.op == "call_function":
                        copies[part] = graph.node_copy(part, copies.__getitem__)
                        copies[part].meta = node.meta | {"val": part.meta.get("val")}
                        if part.target in NUMBERED and part.args[0] in placeholders:
                            copies[part].args = (*copies[part].args[:-1], number)
                made = copies[result]
                if total is not None:
                    made = graph.call_function(aten.add.Tensor, (total, made))
                    made.meta = dict(total.meta)
                total = made
        assert total is not None
        node.replace_all_uses_with(total)
        graph.erase_node(node)


def _expert(experts: Any, x: Tensor, chosen: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Outputs of one expert for the chosen vectors; zeros for the others."""
    given = iter(matrices)
    first, first_bias = next(given), next(given) if experts.has_bias else None
    last, last_bias = next(given), next(given) if experts.has_bias else None
    turned = experts.is_transposed
    inner = CHOSEN_LINEAR(x, first.transpose(0, 1) if turned else first, first_bias, chosen)
    inner = experts._apply_gate(inner) if experts.has_gate else experts.act_fn(inner)
    outputs: Tensor = CHOSEN_LINEAR(inner, last.transpose(0, 1) if turned else last, last_bias, chosen)
    return outputs


def _as_operator(experts: Any, hidden_states: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """Forward of transformers' modules of experts while a model is traced."""
    if getattr(experts, "has_post_expert_norm", False):
        raise InputError(f"{type(experts).__name__} normalises what each expert gives, which is not supported yet")
    first = "gate_up_proj" if experts.has_gate else "up_proj"
    names = [first, *([f"{first}_bias"] if experts.has_bias else []), "down_proj"]
    names += ["down_proj_bias"] if experts.has_bias else []
    name = str(id(experts))
    _modules[name] = experts
    matrices = [getattr(experts, one) for one in names]
    made: Tensor = torch.ops.tilewright.experts(hidden_states, top_k_index, top_k_weights, matrices, name)
    return made


@contextmanager
def experts_whole() -> Iterator[None]:
    """Let torch.export take transformers' mixtures of experts as one operator each while the ``with`` block runs."""
    interface = getattr(sys.modules.get(INTERFACE), "ExpertsInterface", None)
    if interface is None:
        yield
        return
    with patch.object(interface, "get_interface", lambda *_: _as_operator):
        yield
