"""Operations of a plan: its multiplications for inputs of a size, and where they are, counted on shapes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from tilewright.runtime.execution.shape_run import META, ShapeRun, UnboundedError, shape_run
from tilewright.runtime.plan.adapters import is_replaced, macs_with
from tilewright.runtime.plan.names import MATMUL_PREFIX
from tilewright.runtime.plan.plan import Plan, chosen_plan
from tilewright.runtime.plan.records import InputRecord
from tilewright.runtime.plan.types import DTYPES, MOST_NUMBERS
from tilewright.runtime.plan.usual_sizes import choose_sizes
from tilewright.targets.errors import InputError

FUNCTIONS = {
    "softmax": {"softmax", "_softmax", "_safe_softmax", "log_softmax", "_log_softmax"},
    "norms": {"layer_norm", "native_layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm"},
    "activation functions": {
        "gelu", "relu", "silu", "tanh", "sigmoid", "elu", "leaky_relu", "prelu", "softplus", "mish", "relu6",
        "hardswish", "hardsigmoid", "hardtanh", "exp", "erf",
    },
}  # fmt: skip
"""Names of functions that make values by other means than a product, by the names of their sums."""


@dataclass(frozen=True)
class Call:
    """One call of a layer or of a matmul, in running order. vectors: a layer's input vectors; macs: its MACs, without
    those of an adapter.

    name, use: of the layer or matmul, and which of its uses. node: in the plan's graph. steps: of the loop that it is
    in, one after another, which vectors and macs are of all together; 1 outside of loops.
    """

    name: str
    use: int
    node: str
    vectors: int
    macs: int
    steps: int = 1


@dataclass(frozen=True)
class Operations:
    """Multiplications with an addition each (MACs), for one run of the plan at ``sizes``.

    calls: of layers and matmuls, in running order. values: how many softmax, norms and activation functions make.

    sizes: of the inputs, by dimension. matmuls: MACs of each product of activations, by name. on_tiles,
    on_digital_units, on_attention_units: MACs by place.
    """

    sizes: dict[str, int]
    calls: list[Call]
    values: dict[str, int]
    vectors: dict[str, int]
    """Input vectors of each layer, so many times each of its tiles is read."""
    layers: dict[str, int]
    """MACs of each layer and matmul, by name."""
    matmuls: dict[str, int]
    on_tiles: int
    on_digital_units: int
    on_attention_units: int
    adapters: dict[str, int] = field(default_factory=dict)
    """MACs of the adapter that is chosen, by layer; the base's layer has none where the adapter is in its place."""

    @property
    def on_adapters(self) -> int:
        """MACs of the adapter, which are digital."""
        return sum(self.adapters.values())

    @property
    def total(self) -> int:
        """All MACs: norms, softmax and other value by value operations are not in it."""
        return self.on_tiles + self.on_digital_units + self.on_attention_units + self.on_adapters

    @property
    def attention_share(self) -> float:
        """Share of the products of two activations in all MACs, 0 to 1."""
        return self.on_attention_units / self.total if self.total else 0.0

    @property
    def tokens(self) -> int:
        """Samples times tokens of each, where a sample has tokens."""
        return math.prod(size for name, size in self.sizes.items() if name in ("batch", "sequence"))

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``, with the sums."""
        return {
            **asdict(self),
            "on_adapters": self.on_adapters,
            "total": self.total,
            "attention_share": self.attention_share,
        }

    def __repr__(self) -> str:
        """A line for a terminal."""
        sizes = ", ".join(f"{name} {size}" for name, size in self.sizes.items())
        adapters = f", {self.on_adapters:,} of the adapter" if self.adapters else ""
        return (
            f"Operations({sizes}: {self.on_tiles:,} MACs on tiles, {self.on_digital_units:,} on digital units, "
            f"{self.on_attention_units:,} in attention{adapters})"
        )


class _Counter(ShapeRun):
    """Counter of the calls of layers and matmuls, and of the values that other functions make."""

    calls: list[Call]
    values: dict[str, int]
    node = loop = ""

    def run_node(self, n: fx.Node) -> Any:
        self.node = f"{self.loop}{n.name}"
        return super().run_node(n)

    def inside(self, path: str, steps: int) -> ShapeRun:
        """A run of a loop's body, whose calls are counted with the others."""
        made = super().inside(path, steps)
        assert isinstance(made, _Counter)
        made.calls, made.values, made.loop = self.calls, self.values, f"{self.node}."
        return made

    def called(self, path: str, use: int, left: Tensor, result: Tensor) -> None:
        """Note a call of a module: the use of a layer, or the operands of a matmul."""
        if path in self.layers_at:
            layer = self.layers_at[path]
            vectors = round(left.numel() // layer.inputs * layer.uses[use].share)
            own = 0 if is_replaced(self.plan.adapter_record, layer) else layer.inputs * layer.outputs
            vectors *= self.steps
            self.calls.append(Call(layer.name, use, self.node, vectors, vectors * own, self.steps))
        else:
            macs = result.numel() * left.shape[-1] * self.steps
            self.calls.append(Call(path.removeprefix(MATMUL_PREFIX), use, self.node, 0, macs, self.steps))

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = super().call_function(target, args, kwargs)
        name = getattr(target, "overloadpacket", target).__name__
        for kind, names in FUNCTIONS.items():
            if name in names:
                numbers = (result if isinstance(result, Tensor) else result[0]).numel()
                self.values[kind] += numbers * self.steps
        return result


def count_operations(plan: Plan, sizes: Mapping[str, int] | None = None, *, adapter: str | None = None) -> Operations:
    """Count the multiplications of a run, on tiles, on digital units and in attention, on shapes alone.

    sizes: by the names of the plan's dimensions; the others are 1 for the batch and 128 for the rest, or the nearest to
    it that the plan takes. adapter: one of the plan's, whose multiplications are counted too. Raises ``InputError`` for
    a dimension that the plan does not have, or a size that it does not take.
    """
    plan = chosen_plan(plan, adapter)
    document = plan.document
    chosen = choose_sizes(document, sizes or {})
    counter = shape_run(plan, _Counter, None)
    counter.calls, counter.values = [], dict.fromkeys(FUNCTIONS, 0)
    try:
        with torch.inference_mode():
            counter.run(*(input_on_meta(record, chosen) for record in document.inputs))
    except UnboundedError:
        raise
    except InputError as error:  # a convolution's window, say, that is larger than the input
        raise InputError(f"the network does not run on inputs of {chosen}; name other sizes: {error}") from error
    return _sums(plan, chosen, counter)


def input_on_meta(record: InputRecord, sizes: Mapping[str, int]) -> Tensor:
    """Input of these sizes on the meta device. Raises ``InputError`` for more numbers than one may have."""
    shape = [sizes[size] if isinstance(size, str) else size for size in record.shape]
    if math.prod(shape) > MOST_NUMBERS:
        raise InputError(f"input {record.name!r} has {math.prod(shape)} numbers, allowed are {MOST_NUMBERS}")
    return torch.empty(shape, dtype=DTYPES[record.dtype], device=META)


def _sums(plan: Plan, sizes: dict[str, int], counter: _Counter) -> Operations:
    document, record = plan.document, plan.adapter_record
    vectors = {layer.name: 0 for layer in document.layers}
    macs = dict.fromkeys([*vectors, *(matmul.name for matmul in document.matmuls)], 0)
    for call in counter.calls:
        macs[call.name] += call.macs
        if call.name in vectors:
            vectors[call.name] += call.vectors
    layers = {name: macs[name] for name in vectors}
    matmuls = {matmul.name: macs[matmul.name] for matmul in document.matmuls}
    on_tiles = sum(macs[layer.name] for layer in document.layers if layer.tiles)
    on_units = sum(layers.values()) - on_tiles
    beside = {layer.name: vectors[layer.name] * macs_with(record, layer) for layer in document.layers}
    return Operations(
        sizes, counter.calls, counter.values, vectors, layers, matmuls, on_tiles, on_units, sum(matmuls.values()),
        {name: count for name, count in beside.items() if count},
    )  # fmt: skip
