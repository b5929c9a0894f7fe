"""How many multiplications a plan makes for inputs of a size, and where: counted on shapes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from tilewright.runtime.graph_io import build_module, decode_graph
from tilewright.runtime.names import LAYER_PREFIX, layer_path, matmul_path
from tilewright.runtime.plan import LayerRecord, Plan, PlanDocument
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import AnalogTarget

USUAL_LENGTH = 128
"""What a size is taken to be that is not given and may be this."""


FUNCTIONS = {
    "softmax": {"softmax", "_softmax", "_safe_softmax", "log_softmax", "_log_softmax"},
    "norms": {"layer_norm", "native_layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm"},
    "activation functions": {
        "gelu", "relu", "silu", "tanh", "sigmoid", "elu", "leaky_relu", "prelu", "softplus", "mish", "relu6",
        "hardswish", "hardsigmoid", "hardtanh", "exp", "erf",
    },
}  # fmt: skip
"""Functions that make values by other means than a product, by what they are called in sums."""


@dataclass(frozen=True)
class Call:
    """One call of a layer or of a matmul, in running order. vectors: a layer's input vectors; macs: its MACs."""

    name: str
    use: int
    node: str
    vectors: int
    macs: int


@dataclass(frozen=True)
class Operations:
    """Multiplications with an addition each (MACs), for one run of the plan at ``sizes``.

    calls: of layers and matmuls, in running order. values: how many softmax, norms and activation functions make.
    """

    sizes: dict[str, int]
    calls: list[Call]
    values: dict[str, int]
    vectors: dict[str, int]
    """Input vectors of each layer, which is how often each of its tiles is read."""
    layers: dict[str, int]
    """MACs by name."""
    matmuls: dict[str, int]
    on_tiles: int
    on_digital_units: int
    on_attention_units: int

    @property
    def total(self) -> int:
        """All MACs: norms, softmax and other value by value operations are not in it."""
        return self.on_tiles + self.on_digital_units + self.on_attention_units

    @property
    def attention_share(self) -> float:
        """Of products of two activations."""
        return self.on_attention_units / self.total if self.total else 0.0

    @property
    def tokens(self) -> int:
        """Samples times tokens of each, where a sample has tokens."""
        return math.prod(size for name, size in self.sizes.items() if name in ("batch", "sequence"))


class _Counter(fx.Interpreter):
    """Runs a graph on shapes; its calls of layers and matmuls are noted in place of being computed."""

    def __init__(self, module: fx.GraphModule, layers: Mapping[str, LayerRecord], matmuls: Mapping[str, str]) -> None:
        """By the modules' paths: the layers, and the names of the matmuls."""
        super().__init__(module)
        self.layers_at, self.matmuls_at = layers, matmuls
        self.calls: list[Call] = []
        self.values = dict.fromkeys(FUNCTIONS, 0)
        self.node = ""

    def run_node(self, n: fx.Node) -> Any:
        self.node = n.name
        return super().run_node(n)

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        left: Tensor = args[0]
        if target in self.layers_at:
            layer = self.layers_at[target]
            vectors = left.numel() // left.shape[-1]
            use = args[1] if len(args) > 1 else 0
            self.calls.append(Call(layer.name, use, self.node, vectors, vectors * layer.inputs * layer.outputs))
            return left.new_empty(*left.shape[:-1], layer.outputs)
        result = torch.matmul(left, args[1])
        self.calls.append(Call(self.matmuls_at[target], 0, self.node, 0, result.numel() * left.shape[-1]))
        return result

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = super().call_function(target, args, kwargs)
        name = getattr(target, "overloadpacket", target).__name__
        for kind, names in FUNCTIONS.items():
            if name in names:
                self.values[kind] += (result if isinstance(result, Tensor) else result[0]).numel()
        return result


def count_operations(plan: Plan, sizes: Mapping[str, int] | None = None) -> Operations:
    """Run the plan's graph on shapes, without numbers, and count.

    sizes: by the names of the plan's dimensions; the others are 1 for the batch and 128, or what is nearest to it, for
    the rest. Raises ``InputError`` for a dimension that the plan does not have, or a size that it does not take.
    """
    document = plan.document
    chosen = choose_sizes(document, sizes or {})
    layers = {layer_path(layer.name): layer for layer in document.layers}
    matmuls = {matmul_path(matmul.name): matmul.name for matmul in document.matmuls}
    modules = {path: nn.Module() for path in [*layers, *matmuls]}
    graph = decode_graph(document.graph, set(modules), set(plan.tensors))
    with FakeTensorMode(), torch.inference_mode():
        tensors: dict[str, Tensor] = {
            key: torch.empty(value.shape, dtype=value.dtype)
            for key, value in plan.tensors.items()
            if not key.startswith(LAYER_PREFIX)
        }
        inputs = [
            torch.zeros([chosen[size] if isinstance(size, str) else size for size in record.shape],
                        dtype=getattr(torch, record.dtype))
            for record in document.inputs
        ]  # fmt: skip
        counter = _Counter(build_module(graph, modules, tensors), layers, matmuls)
        try:
            counter.run(*inputs)
        except RuntimeError as error:  # a convolution's window, say, that is larger than the input
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"the network does not run on inputs of {chosen}; name other sizes: {reason}") from error
    return _sums(document, chosen, counter)


def _sums(document: PlanDocument, sizes: dict[str, int], counter: _Counter) -> Operations:
    vectors = {layer.name: 0 for layer in document.layers}
    macs = dict.fromkeys([*vectors, *(matmul.name for matmul in document.matmuls)], 0)
    for call in counter.calls:
        macs[call.name] += call.macs
        if call.name in vectors:
            vectors[call.name] += call.vectors
    layers = {name: macs[name] for name in vectors}
    matmuls = {matmul.name: macs[matmul.name] for matmul in document.matmuls}
    on_tiles = sum(
        macs[layer.name] for layer in document.layers if isinstance(document.chip.target(layer.target), AnalogTarget)
    )
    on_units = sum(layers.values()) - on_tiles
    return Operations(
        sizes, counter.calls, counter.values, vectors, layers, matmuls, on_tiles, on_units, sum(matmuls.values())
    )


def choose_sizes(document: PlanDocument, given: Mapping[str, int]) -> dict[str, int]:
    """A size for every dimension of the plan."""
    names = list(dict.fromkeys(size for record in document.inputs for size in record.shape if isinstance(size, str)))
    for name in given:
        if name not in names:
            raise InputError(f"the plan has no dimension {name!r}; {nearest(name, names)}")
    chosen = {}
    for name in names:
        limits = document.dimensions.get(name)
        least, most = (limits.minimum, limits.maximum) if limits else (1, None)
        usual = 1 if name == "batch" else max(least, min(USUAL_LENGTH, most or USUAL_LENGTH))
        size = given.get(name, usual)
        if size < 1 or (most is not None and size > most):
            raise InputError(f"{name} is {size}, allowed is 1 to {most or 'any size'}")
        chosen[name] = size
    return chosen
