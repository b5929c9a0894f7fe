"""A plan's graph as a session runs it: on shapes first, and with the node's name in whatever goes wrong in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from tilewright.runtime.chip.fixed_precision import FixedPrecision
from tilewright.runtime.execution.guarded_operators import DIVISIONS, guard_values
from tilewright.runtime.execution.kept_part import KeptPart
from tilewright.runtime.execution.loops import loop_modules
from tilewright.runtime.execution.shape_run import (
    META,
    ShapeRun,
    SizesUnknownError,
    function_of,
    memory_limit,
    memory_places,
    reason_of,
    shape_run,
    unknown_bytes,
)
from tilewright.runtime.plan.graph import build_module, decode_graph
from tilewright.runtime.plan.names import LAYER_PREFIX
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.errors import InputError


class GraphOfFixedPrecision(FixedPrecision, fx.GraphModule):
    """A plan's graph over its layers. Its operators name the formats that they work in."""


class CheckedGraph:
    """The graph of a plan over these layers and products.

    Before it runs on inputs of sizes that are new, it is run on shapes, so that nothing is made that does not fit.
    What a graph does whose sizes follow from values is looked at node by node, at every run.
    """

    def __init__(
        self, plan: Plan, modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor] | None = None
    ) -> None:
        """Build the plan's graph over modules, by the paths that it calls.

        tensors: those of the graph that are not the plan's own.
        Raises ``InputError`` for a graph that a plan may not hold.
        """
        self.plan = plan
        own = {key: tensor for key, tensor in plan.tensors.items() if not key.startswith(LAYER_PREFIX)}
        own |= tensors or {}
        self.modules = {**modules, **loop_modules(plan, modules, own)}
        self.module = plan.graph_code.over(plan.document.graph, self.modules, own, self._template)
        self._kept: KeptPart | None = None

    def keep_all_but(self, name: str) -> None:
        """Compute what one input has no influence on once, from now on, while the other inputs stay as they are."""
        names = [record.name for record in self.plan.document.inputs]
        self._kept = KeptPart(self.module, [names.index(name)])

    def tensors(self) -> dict[str, Tensor]:
        """Tensors that the graph itself uses, where they are now: they move with the module."""
        buffers = self.module.named_buffers(remove_duplicate=False)
        return {key: tensor for key, tensor in buffers if key in self.plan.tensors and not key.startswith(LAYER_PREFIX)}

    def _template(self) -> fx.GraphModule:
        """The module of the plan's graph over modules that do nothing, and the plan's own tensors."""
        graph = self._decoded()
        guard_values(graph)
        nothing = {path: nn.Module() for path in self.modules}
        return build_module(graph, nothing, dict(self.plan.tensors), GraphOfFixedPrecision)

    def _decoded(self) -> fx.Graph:
        return decode_graph(self.plan.document.graph, set(self.modules), set(self.plan.tensors))

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Results of the graph. Raises ``InputError`` where it cannot run on these inputs."""
        sizes = tuple(x.shape for x in inputs)
        if sizes not in self.plan.sizes_run:
            self.plan.sizes_run[sizes] = self._says_how_much(inputs)
        if not self.plan.sizes_run[sizes]:
            return self._carefully(inputs)
        try:
            results: list[Tensor] = (self._kept or self.module)(*inputs)
        except Exception:
            _NamedErrors(self.module).run(*inputs)
            raise
        return results

    @torch.inference_mode()
    def _says_how_much(self, inputs: Sequence[Tensor]) -> bool:
        """True if shapes alone say what a run holds, which is then not too much."""
        runner = shape_run(self.plan, ShapeRun, memory_limit(self.plan, inputs))
        try:
            runner.run(*(torch.empty_like(x, device=META) for x in inputs))
        except SizesUnknownError:
            return False
        return True

    def _carefully(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        module = build_module(self._decoded(), self.modules, self.tensors())
        results: list[Tensor] = _CarefulRun(self.plan, module, memory_limit(self.plan, inputs)).run(*inputs)
        return results


class _CarefulRun(ShapeRun):
    """Runs a graph in earnest, each node on shapes first."""

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of an operator of the allow-list."""
        args_there, kwargs_there = _on_meta((args, kwargs))
        try:
            expected = super().call_function(target, args_there, kwargs_there)
            known = memory_places(args_there)
            more = sum(size for place, size in memory_places(expected).items() if place not in known)
        except SizesUnknownError:
            more = unknown_bytes(target, args)
        self.check_room(more)
        try:
            return DIVISIONS.get(target, target)(*args, **kwargs)
        except InputError:
            raise
        except Exception as error:
            raise InputError(reason_of(error)) from error

    def inside(self, path: str, steps: int) -> ShapeRun:
        """A run of a loop's body on shapes, before the loop runs in earnest."""
        made = ShapeRun(self.plan, self.bodies[path], self.limit)
        made.steps = steps
        return made

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of a layer or of a product of activations."""
        super().call_module(target, *_on_meta((args, kwargs)))
        return self.module.get_submodule(target)(*args)


def _on_meta(arguments: Any) -> Any:
    return fx.node.map_aggregate(
        arguments, lambda value: torch.empty_like(value, device=META) if isinstance(value, Tensor) else value
    )


class _NamedErrors(fx.Interpreter):
    """Runs a graph that failed once more, for the name of the node that did."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.extra_traceback = False

    def run_node(self, n: fx.Node) -> Any:
        try:
            return super().run_node(n)
        except Exception as error:
            if n.op != "call_function" and not isinstance(error, InputError):
                raise  # in a layer: a bug of ours
            raise InputError(
                f"node {n.name!r} ({function_of(n)}) cannot run on these inputs: {reason_of(error)}"
            ) from error
