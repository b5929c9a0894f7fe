"""ONNX's If and Loop, written out while tracing: what they depend on must be known then, from constants or shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from onnx import GraphProto, NodeProto
from torch import nn

from tilewright.compiler.frontends.onnx.values import Numbers, Value, as_numbers, as_tensor
from tilewright.targets.errors import InputError

MOST_REPEATED = 2**14
"""Largest number of nodes that a loop may become, all of its steps together."""

Results = list[tuple[Value, Numbers | None]]
_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)
"""Nodes that the outermost loop may still become."""


def branch(blocks: nn.ModuleDict, node: NodeProto, values: dict[str, Value], known: dict[str, Numbers]) -> Results:
    """Outputs of the branch of an If that is taken. Raises ``InputError`` if that depends on the data."""
    taken = _known_truth(known.get(node.input[0]), node)
    wanted = "then_branch" if taken else "else_branch"
    return _outputs(blocks, node, wanted, dict(values), dict(known))


def loop(blocks: nn.ModuleDict, node: NodeProto, values: dict[str, Value], known: dict[str, Numbers]) -> Results:
    """Outputs of a Loop, each of its steps after the other.

    Raises ``InputError`` if how many there are depends on the data, and for too many.
    """
    count, go_on, *start = [*node.input, "", ""][: max(2, len(node.input))]
    steps = _steps(known.get(count), node) if count else None
    more = _known_truth(known.get(go_on), node) if go_on else True
    if steps is None and not go_on:
        raise InputError(f"node {node.name!r} (Loop) never ends")
    body = next(entry.g for entry in node.attribute if entry.name == "body")
    states: Results = [(values[name], known.get(name)) for name in start]
    kept: list[Results] = []
    names = [entry.name for entry in body.input]
    if len(names) != 2 + len(states) or len(body.output) < 1 + len(states):
        raise InputError(f"node {node.name!r} (Loop) hands on {len(states)} values, and its body {len(names) - 2}")
    with _counted(node) as spend:
        if steps is not None and not go_on:
            spend(steps * len(body.node))
        step = 0
        while more and (steps is None or step < steps):
            if go_on:
                spend(len(body.node))
            inner_values, inner_known = dict(values), dict(known)
            given: Results = [(one, one) for one in (np.array(step), np.array(more))]
            for name, (value, numbers) in zip(names, [*given, *states], strict=True):
                inner_values[name] = value
                inner_known.pop(name, None)
                if numbers is not None:
                    inner_known[name] = numbers
            found = _outputs(blocks, node, "body", inner_values, inner_known)
            more = _known_truth(found[0][1], node)
            states, others = found[1 : 1 + len(states)], found[1 + len(states) :]
            kept.append(others)
            step += 1
    if not kept and len(body.output) > 1 + len(states):
        raise InputError(f"node {node.name!r} (Loop) keeps results of its steps, and has no steps")
    return [*states, *(_stacked([step[place] for step in kept]) for place in range(len(kept[0]) if kept else 0))]


def _outputs(
    blocks: nn.ModuleDict, node: NodeProto, wanted: str, values: dict[str, Value], known: dict[str, Numbers]
) -> Results:
    """Outputs of the graph inside a node that has this name."""
    run: Any = blocks[wanted]
    run.run(values, known)
    graph: GraphProto = next(entry.g for entry in node.attribute if entry.name == wanted)
    missing = [output.name for output in graph.output if output.name not in values]
    if missing:
        raise InputError(f"node {node.name!r} ({node.op_type}): its output {missing[0]!r} is computed by no node")
    return [(values[output.name], known.get(output.name)) for output in graph.output]


def _known_truth(numbers: Numbers | None, node: NodeProto) -> bool:
    """Truth of a condition."""
    if numbers is None:
        raise InputError(
            f"node {node.name!r} ({node.op_type}) depends on the data, which a fixed plan cannot; export the model "
            "without branches"
        )
    if numbers.size != 1:
        raise InputError(f"node {node.name!r} ({node.op_type}): its condition has {numbers.size} elements, not one")
    return bool(numbers.reshape(-1)[0])


def _steps(numbers: Numbers | None, node: NodeProto) -> int:
    """Number of steps of a loop; a size that may vary is fixed at what it is while tracing."""
    if numbers is None:
        raise InputError(
            f"node {node.name!r} (Loop): how many steps it takes depends on the data, which a fixed plan cannot"
        )
    if numbers.size != 1:
        raise InputError(f"node {node.name!r} (Loop): its number of steps has {numbers.size} elements, not one")
    return int(numbers.reshape(-1)[0])


@contextmanager
def _counted(node: NodeProto) -> Iterator[Callable[[int], None]]:
    """Function that counts nodes of a step, which raises ``InputError`` for too many with those of loops around."""
    outer = _left.get()
    left = outer or [MOST_REPEATED]

    def spend(nodes: int) -> None:
        left[0] -= max(1, nodes)
        if left[0] < 0:
            raise InputError(
                f"node {node.name!r} (Loop) becomes more than {MOST_REPEATED} nodes when it is written out"
            )

    token = _left.set(left)
    try:
        yield spend
    finally:
        _left.reset(token)


def _stacked(found: Results) -> tuple[Value, Numbers | None]:
    """Results that were kept of each step, along a new first dimension."""
    numbers = [known for _, known in found if known is not None]
    if len(numbers) == len(found):
        together = as_numbers([one.tolist() for one in numbers])
        return together, together
    return torch.stack([as_tensor(value) for value, _ in found]), None


WRITTEN_OUT = {"If": branch, "Loop": loop}
"""Operators with graphs inside, and how each is written out."""
