"""Order of the calls of layers and matmuls: the graph, seen from its calls alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import fx

from tilewright.runtime.plan.graph import decode_graph
from tilewright.runtime.plan.names import layer_path, loop_path, matmul_path
from tilewright.runtime.plan.plan import Plan


@dataclass(frozen=True)
class Schedule:
    """Dependencies of a plan's calls. before: node of each call -> nodes of those it waits for directly, in order."""

    before: dict[str, tuple[str, ...]]
    called: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Node of each call -> the layer or product that it calls, and the number of the use."""

    def finish_times(self, durations: Mapping[str, float]) -> dict[str, float]:
        """End of each call if each starts as soon as all it waits for have ended. durations: by node."""
        done: dict[str, float] = {}
        for node, earlier in self.before.items():
            done[node] = max((done[name] for name in earlier), default=0.0) + durations[node]
        return done

    def longest_path(self, durations: Mapping[str, float]) -> float:
        """End of the last call. durations: by node."""
        return max(self.finish_times(durations).values(), default=0.0)


def schedule(plan: Plan) -> Schedule:
    """The calls of a plan's graph and their order. Operators between calls take no time of their own here."""
    document = plan.document
    names = {layer_path(layer.name): layer.name for layer in document.layers}
    names |= {matmul_path(matmul.name): matmul.name for matmul in document.matmuls}
    loops = {loop_path(loop.name): loop for loop in document.loops}
    graph = decode_graph(document.graph, {*names, *loops}, set(plan.tensors))
    layers = {layer.name for layer in document.layers}
    before, called = _direct(graph), dict[str, tuple[str, int]]()
    for node in graph.nodes:
        if node.target in loops:
            body = decode_graph(loops[str(node.target)].graph, set(names), set(plan.tensors))
            before = _with_body(before, node.name, _direct(body))
        inner = body.nodes if node.target in loops else [node]
        for one in inner:
            if one.op == "call_module":
                name = names[str(one.target)]
                place = in_loop(node.name, one.name) if one is not node else node.name
                called[place] = name, (one.args[1] if name in layers else 0)
    return Schedule(before, called)


def in_loop(loop: str, node: str) -> str:
    """Name of a call in a loop's body, by the nodes of the loop and of the call."""
    return f"{loop}.{node}"


def _with_body(
    before: dict[str, tuple[str, ...]], loop: str, body: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Calls with those of a loop's body in the place of the loop's: a step waits for the last, so all are in a row."""
    found: dict[str, tuple[str, ...]] = {}
    for node, earlier in before.items():
        if node == loop:
            for inner, waits in body.items():
                found[in_loop(loop, inner)] = tuple(in_loop(loop, one) for one in waits) or earlier
        else:
            ends = [in_loop(loop, inner) for inner in body if not any(inner in waits for waits in body.values())]
            found[node] = tuple(one for place in earlier for one in (ends if place == loop else [place]))
    return found


def _direct(graph: fx.Graph) -> dict[str, tuple[str, ...]]:
    """Calls that each call waits for directly. Sets are bits of whole numbers: graphs have thousands of nodes."""
    calls: list[str] = []
    ancestors: list[int] = []
    behind: dict[fx.Node, int] = {}
    before: dict[str, tuple[str, ...]] = {}
    for node in graph.nodes:
        seen = 0
        for operand in node.all_input_nodes:
            seen |= behind[operand]
        if node.op != "call_module":
            behind[node] = seen
            continue
        direct = _bits(seen)
        farther = 0
        for number in direct:
            farther |= ancestors[number]
        before[node.name] = tuple(calls[number] for number in direct if not farther >> number & 1)
        ancestors.append(seen | farther)
        behind[node] = 1 << len(calls)
        calls.append(node.name)
    return before


def _bits(mask: int) -> list[int]:
    """The places of a number's ones."""
    places = []
    while mask:
        lowest = mask & -mask
        places.append(lowest.bit_length() - 1)
        mask ^= lowest
    return places
