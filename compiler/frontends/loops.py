"""Loops while a model is traced: one operator, so that steps may vary; then a module of the graph with a body."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from operator import getitem
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from tilewright.runtime.plan.names import loop_path
from tilewright.runtime.units.loop import Loop

Step = Callable[..., list[Tensor]]
"""Function of states, one step of each sequence, and what stays the same: new states, then what is kept of the step."""
STEPS: dict[str, Step] = {}
"""Steps that are known, by their names."""


def loop(
    step: str, states: Sequence[Tensor], sequences: Sequence[Tensor], others: Sequence[Tensor], **options: Any
) -> list[Tensor]:
    """Last states of a loop, then what was kept of each step [steps, ...], as one operator of a traced graph.

    step, options: one of ``STEPS``, and what it takes by name: plain values.
    """
    body = json.dumps({"step": step, **options})
    found: list[Tensor] = torch.ops.tilewright.loop(list(states), list(sequences), list(others), body)
    return found


def _step_of(body: str) -> Step:
    options = json.loads(body)
    return partial(STEPS[options.pop("step")], **options)


@torch.library.custom_op("tilewright::loop", mutates_args=())
def _loop(states: list[Tensor], sequences: list[Tensor], others: list[Tensor], body: str) -> list[Tensor]:
    """The loop itself."""
    kept: list[list[Tensor]] = []
    step, count = _step_of(body), len(states)
    states = [state.clone() for state in states]
    for place in range(sequences[0].shape[0]):
        results = step(*states, *(sequence[place] for sequence in sequences), *others)
        states = results[:count]
        kept.append(results[count:])
    # an operator's results may not share memory
    return [state.clone() for state in states] + [torch.stack(list(each)) for each in zip(*kept, strict=True)]


@_loop.register_fake
def _shapes(states: list[Tensor], sequences: list[Tensor], others: list[Tensor], body: str) -> list[Tensor]:
    """Tensors of the shapes of a loop's results."""
    results = _step_of(body)(*states, *(sequence.select(0, 0) for sequence in sequences), *others)
    steps, count = sequences[0].shape[0], len(states)
    last = [torch.empty_like(state) for state in results[:count]]
    return last + [kept.new_empty(steps, *kept.shape) for kept in results[count:]]


def put_loops(module: fx.GraphModule) -> None:
    """Put a module with a body in the place of each loop of a traced graph."""
    calls = module.graph.find_nodes(op="call_function", target=torch.ops.tilewright.loop.default)
    for number, node in enumerate(calls):
        states, sequences, others, body = node.args
        values = [one.meta["val"] for one in (*states, *sequences, *others)]
        first, last = len(states), len(states) + len(sequences)
        with values[first].fake_mode:
            given = [one.select(0, 0) if first <= place < last else one for place, one in enumerate(values)]
        traced = make_fx(_step_of(body), tracing_mode="symbolic", pre_dispatch=True)(*given)
        path = loop_path(f"loop_{number}")
        module.add_submodule(path, Loop(fx.GraphModule(traced, traced.graph), len(states)))
        with module.graph.inserting_before(node):
            made = module.graph.call_module(path, (list(states), list(sequences), list(others)))
        made.meta = dict(node.meta)
        for reader in list(node.users):
            assert reader.target is getitem
        node.replace_all_uses_with(made)
        module.graph.erase_node(node)
