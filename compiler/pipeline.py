"""Run the passes in order, and check after each that the graph still computes the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from tilewright.compiler.compilation import Compilation
from tilewright.compiler.invariants import check_invariants
from tilewright.runtime.memory_map import used
from tilewright.runtime.memory_place import memory_place
from tilewright.runtime.plan import Verification
from tilewright.targets.errors import InputError

TOLERANCE = 1e-5
"""Largest |difference| over largest |output| that a pass may leave on the ideal target (float32)."""

Pass = Callable[[Compilation], None]
OnPass = Callable[[str, int, int, float], None]
"""Called after each pass with its name, its number, how many there are and its seconds."""


class PassError(RuntimeError):
    """A pass failed, changed what the graph computes, or left a plan that is none: a bug of tilewright."""


def run_passes(compilation: Compilation, passes: Sequence[tuple[str, Pass]], on_pass: OnPass | None = None) -> None:
    """Run each pass and verify the graph after it. Raises ``PassError`` that names the pass and those before it."""
    done: list[str] = []
    checked, worst = GraphState(), 0.0
    for number, (name, run) in enumerate(passes, start=1):
        started = time.perf_counter()
        try:
            run(compilation)
            check_invariants(compilation)
        except InputError:
            raise
        except Exception as error:
            raise PassError(f"pass {name} failed after {', '.join(done) or 'no other pass'}: {error}") from error
        if compilation.traced.has_weights and (state := GraphState.of(compilation)) != checked:
            checked, worst = state, largest_relative_error(compilation)
        if not worst <= TOLERANCE:
            raise PassError(
                f"pass {name} changed what the model computes: relative error {worst:.2e}, allowed {TOLERANCE:.0e}; "
                f"passes before it: {', '.join(done) or 'none'}"
            )
        if compilation.traced.has_weights:
            compilation.verification.append(Verification(pass_name=name, largest_relative_error=worst))
        done.append(name)
        if on_pass:
            on_pass(name, number, len(passes), time.perf_counter() - started)


@dataclass
class GraphState:
    """What the graph's outputs follow from: many passes decide and leave it as it is, and need no new comparison."""

    nodes: list[tuple[object, ...]] = field(default_factory=list)
    places: list[object] = field(default_factory=list)
    """Where the tensors lie, of get_attr nodes and of layers."""
    tensors: list[Tensor] = field(default_factory=list, compare=False)
    """The same tensors, held so that nothing else comes to lie there."""

    @classmethod
    def of(cls, compilation: Compilation) -> GraphState:
        """As the graph is now."""
        nodes: list[tuple[object, ...]] = [
            (n.name, n.op, str(n.target), str(n.args), str(n.kwargs)) for n in compilation.graph.graph.nodes
        ]
        tensors = [tensor for tensor in map(compilation.tensor, compilation.graph.graph.nodes) if tensor is not None]
        for name in compilation.layers:
            module = compilation.layer_module(name)
            tensors += [tensor for tensor in (module.weight, module.bias) if tensor is not None]
        return cls(nodes, [(memory_place(tensor), tensor.shape, tensor.stride()) for tensor in tensors], tensors)


@torch.inference_mode()
def largest_relative_error(compilation: Compilation) -> float:
    """The worst of all examples and outputs: max |graph - model| / max |model|."""
    worst = 0.0
    for example, expected in zip(compilation.traced.examples, compilation.traced.expected, strict=True):
        outputs = Touching(compilation.graph).run(*example.values())
        for output, reference in zip(outputs, expected, strict=True):
            worst = max(worst, relative_error(output, reference))
    return worst


class Touching(fx.Interpreter):
    """Runs a graph, and notes which weights are used, so that a large model's need not stay in memory."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A call of an operator."""
        result = super().call_function(target, args, kwargs)
        for operand in args:
            if isinstance(operand, Tensor):
                used(operand)
        return result


def relative_error(output: Tensor, reference: Tensor) -> float:
    """Largest |output - reference| over largest |reference|; infinite if shapes differ or a NaN is on one side."""
    if output.shape != reference.shape:
        return float("inf")
    output, reference = output.double(), reference.double()
    same = (output == reference) | (output.isnan() & reference.isnan())
    difference = torch.where(same, torch.zeros_like(output), (output - reference).abs())
    if difference.numel() == 0:
        return 0.0
    finite = reference[reference.isfinite()].abs()
    scale = finite.max().item() if finite.numel() else 1.0
    result = difference.max().item() / (scale or 1.0)
    return result if result == result else float("inf")
