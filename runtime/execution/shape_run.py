"""A run of a plan's graph on shapes alone, before anything of their size is made: what it would hold, and how much.

torch's meta device has tensors of any size that take no memory, so a stranger's graph can be followed to its end. Only
arithmetic on sizes and lists of results are real there; they are bounded here. Reports, costs and counts run on shapes
alone; a session does so before its first run on inputs of new sizes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from tilewright.runtime.execution.guarded_operators import UNGUARDED, check_shapes
from tilewright.runtime.execution.known_shapes import KnownShapes
from tilewright.runtime.execution.loops import body_module
from tilewright.runtime.execution.meta_kernels import without_compiler
from tilewright.runtime.plan.graph import build_module, decode_graph
from tilewright.runtime.plan.names import LAYER_PREFIX, layer_path, loop_path, matmul_path
from tilewright.runtime.plan.operator_arguments import WHOLE_NUMBERS
from tilewright.runtime.plan.operators import arguments_of, function_name
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.storage.memory_budget import memory_there
from tilewright.runtime.units.loop import check_steps
from tilewright.targets.errors import InputError
from tilewright.targets.shown import shown

aten = torch.ops.aten
META = torch.device("meta")
MOST_RESULTS = 2**13
"""Tensors that an operator may give which gives a list of them."""
MOST_RESULTS_OF_A_RUN = 2**16
"""Tensors that all operators of one run which give lists of them may give together."""
MOST_DIMENSIONS = 64
"""Dimensions of a tensor: torch's own kernels count no further."""
ALWAYS_ALLOWED = 2**30
"""Bytes that the tensors of any run may hold at once. More is allowed where inputs and weights are many: a number of
each input for each weight (logits of a large vocabulary, channels of an image) and for each other input (attention).
"""
SHARE_OF_MEMORY = 0.75
"""Largest share of a machine's memory that the tensors of a run may hold."""


class UnboundedError(InputError):
    """A graph asks for more than any network does: it is not looked at any further."""


class SizesUnknownError(InputError):
    """The size of what an operator gives follows from values, not from sizes."""


class ShapeRun(fx.Interpreter):
    """Runs a graph on the meta device. Raises ``InputError``, with the node's name, where it would not run.

    Of layers and products of activations only the shapes of what they give are made, and noted by ``called``.
    """

    def __init__(self, plan: Plan, module: fx.GraphModule, limit: int | None) -> None:
        """Take a plan's graph over modules. limit: bytes a run may hold; None if nothing is made."""
        super().__init__(module)
        self.extra_traceback = False  # of fx, which would write into our errors
        self.plan = plan
        self.layers_at = {layer_path(layer.name): layer for layer in plan.document.layers}
        self.limit, self.results, self.held = limit, 0, Held()
        self.bodies = _bodies(plan)
        self.known = KnownShapes()
        self.steps = 1
        """Times that what runs now is repeated, by the loop that it is in."""

    def run(self, *inputs: Any) -> Any:  # type: ignore[override]
        """Result of the graph on these inputs."""
        with without_compiler():
            return super().run(*inputs)

    def run_node(self, n: fx.Node) -> Any:
        """Result of a node, checked and counted. Raises ``InputError`` with the node's name."""
        try:
            result = super().run_node(n)
            self._check(result)
            if n.op != "output":
                self.held.add(n, result)
                self.check_room()
        except InputError as error:
            kind = type(error)
            raise kind(f"node {n.name!r} ({function_of(n)}) cannot run on these inputs: {error}") from error
        for done in self.user_to_last_uses.get(n, []) if n.users else [n]:
            self.held.free(done)
        return result

    def check_room(self, more: int = 0) -> None:
        """Raise ``InputError`` if what is held, and so many bytes more, do not fit into memory."""
        if self.limit is not None and self.held.bytes + more > self.limit:
            raise InputError(
                f"the run holds {(self.held.bytes + more) / 2**30:.1f} GiB there, allowed are "
                f"{self.limit / 2**30:.1f} GiB; give fewer or smaller samples at once"
            )

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of an operator of the allow-list."""
        check_shapes(target, args, kwargs)
        self._count_results(target, args, kwargs)
        return self.known.result(target, args, kwargs, lambda: on_shapes(target, args, kwargs))

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call of a layer or of a product of activations."""
        if target in self.bodies:
            return self._loop(target, *args)
        left: Tensor = args[0]
        if target not in self.layers_at:
            if not (left.is_floating_point() and args[1].is_floating_point()):
                raise InputError(f"a product of activations takes floating-point numbers, not {left.dtype}")
            result = on_shapes(torch.matmul, (left, args[1]), {})
            self.called(target, 0, left, result)
            return result
        layer = self.layers_at[target]
        if not left.is_floating_point() or left.dim() < 1 or left.shape[-1] != layer.inputs:
            what = f"{left.dtype} of shape {list(left.shape)}"
            raise InputError(f"layer {layer.name!r} takes {layer.inputs} numbers a vector, not {what}")
        if len(args) > 2 and (args[2].dtype != torch.bool or args[2].shape != left.shape[:-1]):
            what = f"{args[2].dtype} of shape {list(args[2].shape)}"
            raise InputError(f"layer {layer.name!r} has its {list(left.shape[:-1])} vectors chosen by {what}")
        result = left.new_empty(*left.shape[:-1], self.plan.outputs_of(layer), dtype=torch.float32)
        self.called(target, args[1] if len(args) > 1 else 0, left, result)
        return result

    def _loop(self, path: str, states: list[Tensor], sequences: list[Tensor], others: list[Tensor]) -> list[Tensor]:
        """A call of a loop: of its steps one is run."""
        steps = check_steps(sequences)
        inside = self.inside(path, steps)
        results = inside.run(*states, *(one[0] for one in sequences), *others)
        self.results += inside.results
        for before, after in zip(states, results, strict=False):
            if (before.shape, before.dtype) != (after.shape, after.dtype):
                raise InputError(f"a loop hands on {list(after.shape)} as a state that was {list(before.shape)}")
        kept = results[len(states) :]
        return [*results[: len(states)], *(one.new_empty(steps, *one.shape) for one in kept)]

    def inside(self, path: str, steps: int) -> ShapeRun:
        """A run of a loop's body, which counts for all its steps."""
        made = type(self)(self.plan, self.bodies[path], self.limit)
        made.steps = self.steps * steps
        return made

    def called(self, path: str, use: int, left: Tensor, result: Tensor) -> None:
        """Note a call of a module, for those who count them."""

    def _count_results(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raise ``UnboundedError`` for more results than a run may give, before they are made."""
        results = listed_results(target, args, kwargs)
        self.results += results
        if results > MOST_RESULTS or self.results > MOST_RESULTS_OF_A_RUN:
            limits = f"{MOST_RESULTS} of one operator and {MOST_RESULTS_OF_A_RUN} in a run"
            raise UnboundedError(f"it would give {results} tensors, allowed are {limits}")

    def _check(self, result: Any) -> None:
        for value in result if isinstance(result, list | tuple) else [result]:
            if isinstance(value, Tensor) and value.dim() > MOST_DIMENSIONS:
                raise UnboundedError(f"a tensor has {value.dim()} dimensions, allowed are {MOST_DIMENSIONS}")
            if isinstance(value, int) and value not in WHOLE_NUMBERS:
                raise UnboundedError(f"a size is {shown(value)}, which is no whole number of 64 bits")


Run = TypeVar("Run", bound=ShapeRun)


def shape_run(plan: Plan, run: type[Run], limit: int | None) -> Run:
    """A run of a plan's graph on shapes, ready to be started with inputs on the meta device."""
    return run(plan, plan.graph_code.made("on shapes", plan.document.graph, lambda: _module_on_shapes(plan)), limit)


def _module_on_shapes(plan: Plan) -> fx.GraphModule:
    """Module of a plan's graph over modules that do nothing, and tensors that take no memory."""
    nothing = {path: nn.Module() for path in [*_paths(plan), *(loop_path(loop.name) for loop in plan.document.loops)]}
    graph = decode_graph(plan.document.graph, {*nothing}, set(plan.tensors))
    return build_module(graph, nothing, _on_meta(plan))


def _bodies(plan: Plan) -> dict[str, fx.GraphModule]:
    """Bodies of a plan's loops over modules that do nothing, by the paths that the graph calls."""
    if not plan.document.loops:
        return {}
    nothing, tensors = {path: nn.Module() for path in _paths(plan)}, _on_meta(plan)
    return {loop_path(loop.name): body_module(loop, nothing, tensors) for loop in plan.document.loops}


def _paths(plan: Plan) -> list[str]:
    """Paths of a plan's layers and products of activations."""
    paths = [layer_path(layer.name) for layer in plan.document.layers]
    return [*paths, *(matmul_path(matmul.name) for matmul in plan.document.matmuls)]


def _on_meta(plan: Plan) -> dict[str, Tensor]:
    """Tensors of a plan's graph, as shapes."""
    return {
        key: torch.empty(value.shape, dtype=value.dtype, device=META)
        for key, value in plan.tensors.items()
        if not key.startswith(LAYER_PREFIX)
    }


def on_shapes(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Result of a call on the meta device. Raises ``InputError``, with torch's reason, where it cannot be made."""
    if follows_from_values(function, args):
        raise SizesUnknownError("how much it gives follows from values")
    place = _device_place(function)
    args, kwargs = list(args), dict(kwargs)
    if place is not None and place < len(args):
        args[place] = META
    elif place is not None:
        kwargs["device"] = META
    try:
        return function(*args, **kwargs)
    except Exception as error:
        raise InputError(reason_of(error)) from error


def follows_from_values(function: Any, args: Sequence[Any]) -> bool:
    """True if the size of what an operator gives follows from values: it takes what a mask is true for."""
    if function is aten.index.Tensor:
        return any(isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    return function is aten.masked_select.default


def unknown_bytes(function: Any, args: Sequence[Any]) -> int:
    """Largest number of bytes that an operator may give whose size follows from values."""
    x, taken = args[0], args[1]
    if function is aten.masked_select.default:
        try:
            numbers: int = torch.broadcast_shapes(x.shape, taken.shape).numel()
        except RuntimeError as error:
            raise InputError(reason_of(error)) from error
    else:
        indices = [index for index in taken if index is not None]
        used = sum(index.dim() if index.dtype in (torch.bool, torch.uint8) else 1 for index in indices)
        left = math.prod(x.shape[used:]) if taken[0] is not None else x.numel()
        numbers = left * math.prod(index.numel() for index in indices)
    return numbers * int(x.element_size())


@cache
def _device_place(function: Any) -> int | None:
    """Place of an operator's argument for its device, the real one if it is not given; None if it has none."""
    arguments = function._schema.arguments if isinstance(function, OpOverload) else ()
    return next((place for place, argument in enumerate(arguments) if argument.name == "device"), None)


def reason_of(error: Exception) -> str:
    """Reason of an error: the first line of what torch says."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def function_of(node: fx.Node) -> str:
    """Name of what a node calls, in a plan's words."""
    called: Any = node.target
    called = UNGUARDED.get(called, called)
    return function_name(called) or str(called)


def listed_results(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Number of tensors that an operator gives which gives a list of them; 0 for all others."""
    count = _LISTED.get(function)
    if count is None:
        return 0
    named = arguments_of(function, args, kwargs)
    x, dimension = named.get("self"), named.get("dim", 0)
    if isinstance(x, Tensor) and not -x.dim() <= dimension < x.dim():
        return 0  # torch refuses it
    return count(named, x.shape[dimension] if isinstance(x, Tensor) else 0)


_LISTED: dict[Any, Callable[[dict[str, Any], int], int]] = {
    aten.unbind.int: lambda _, size: size,
    aten.chunk.default: lambda named, _: named["chunks"],
    aten.split.Tensor: lambda named, size: -(-size // max(named["split_size"], 1)),
    aten.unsafe_split.Tensor: lambda named, size: -(-size // max(named["split_size"], 1)),
    aten.split.sizes: lambda named, _: len(named["split_size"]),
    aten.split_with_sizes.default: lambda named, _: len(named["split_sizes"]),
    aten.meshgrid.default: lambda named, _: len(named["tensors"]),
    aten.meshgrid.indexing: lambda named, _: len(named["tensors"]),
}
"""Number of results by operator, from its arguments by name and the size of the dimension that is taken apart."""


class Held:
    """Bytes of the tensors that a run holds; those that share memory count once, weights not at all."""

    def __init__(self) -> None:
        """Begin with nothing held."""
        self.bytes = 0
        self._places: dict[fx.Node, dict[int, int]] = {}
        self._holders: Counter[int] = Counter()

    def add(self, node: fx.Node, result: Any) -> None:
        """Count what a node gave as held from now on."""
        places = {} if node.op == "get_attr" else memory_places(result)
        self._places[node] = places
        for place, size in places.items():
            self.bytes += 0 if self._holders[place] else size
            self._holders[place] += 1

    def free(self, node: fx.Node) -> None:
        """Count what a node gave as held no more."""
        for place, size in self._places.pop(node, {}).items():
            self._holders[place] -= 1
            self.bytes -= 0 if self._holders[place] else size


def memory_places(result: Any) -> dict[int, int]:
    """Places in memory where tensors lie -> how many bytes there."""
    values = result if isinstance(result, list | tuple) else [result]
    storages = [value.untyped_storage() for value in values if isinstance(value, Tensor)]
    return {storage._cdata: storage.nbytes() for storage in storages}


def memory_limit(plan: Plan, inputs: Sequence[Tensor]) -> int:
    """Bytes that a run on these inputs may hold: what networks of its weights need at most, and what there is."""
    numbers, weights = (sum(tensor.numel() for tensor in tensors) for tensors in (inputs, plan.tensors.values()))
    return min(ALWAYS_ALLOWED + 8 * numbers * (numbers + weights), int(SHARE_OF_MEMORY * memory_there()))
