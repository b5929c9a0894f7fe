"""How many multiplications a plan makes for inputs of a size, and where: counted on shapes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from tilewright.runtime.graph_io import build_module, decode_graph
from tilewright.runtime.names import LAYER_PREFIX, layer_path, matmul_path
from tilewright.runtime.plan import LayerRecord, Plan, PlanDocument
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.spec import AnalogTarget

USUAL_LENGTH = 128
"""What a size is taken to be that is not given and may be this."""


@dataclass(frozen=True)
class Operations:
    """Multiplications with an addition each (MACs), for one run of the plan at ``sizes``.

    vectors: input vectors of each layer, which is how often each of its tiles is read. layers, matmuls: MACs by name.
    """

    sizes: dict[str, int]
    vectors: dict[str, int]
    layers: dict[str, int]
    matmuls: dict[str, int]
    on_tiles: int
    on_digital_units: int
    on_attention_units: int

    @property
    def total(self) -> int:
        """All that is counted: norms, softmax and other value by value operations are not."""
        return self.on_tiles + self.on_digital_units + self.on_attention_units

    @property
    def attention_share(self) -> float:
        """Of products of two activations."""
        return self.on_attention_units / self.total if self.total else 0.0


class _CountingLayer(nn.Module):
    def __init__(self, record: LayerRecord) -> None:
        super().__init__()
        self.outputs, self.vectors = record.outputs, 0

    def forward(self, x: Tensor, use: int = 0) -> Tensor:
        self.vectors += x.numel() // x.shape[-1]
        return x.new_empty(*x.shape[:-1], self.outputs)


class _CountingMatmul(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.products = 0

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        result = torch.matmul(left, right)
        self.products += result.numel() * left.shape[-1]
        return result


def count_operations(plan: Plan, sizes: Mapping[str, int] | None = None) -> Operations:
    """Run the plan's graph on shapes, without numbers, and count.

    sizes: by the names of the plan's dimensions; the others are 1 for the batch and 128, or what is nearest to it, for
    the rest. Raises ``InputError`` for a dimension that the plan does not have, or a size that it does not take.
    """
    document = plan.document
    chosen = choose_sizes(document, sizes or {})
    layers = {layer.name: _CountingLayer(layer) for layer in document.layers}
    matmuls = {matmul.name: _CountingMatmul() for matmul in document.matmuls}
    modules: dict[str, nn.Module] = {layer_path(name): module for name, module in layers.items()}
    modules |= {matmul_path(name): module for name, module in matmuls.items()}
    graph = decode_graph(document.graph, set(modules), set(plan.tensors))
    with FakeTensorMode() as mode, torch.inference_mode():
        tensors: dict[str, Tensor] = {
            key: mode.from_tensor(value) for key, value in plan.tensors.items() if not key.startswith(LAYER_PREFIX)
        }
        inputs = [
            torch.zeros([chosen[size] if isinstance(size, str) else size for size in record.shape],
                        dtype=getattr(torch, record.dtype))
            for record in document.inputs
        ]  # fmt: skip
        build_module(graph, modules, tensors)(*inputs)
    vectors = {name: layer.vectors for name, layer in layers.items()}
    macs = {layer.name: vectors[layer.name] * layer.inputs * layer.outputs for layer in document.layers}
    on_tiles = sum(
        macs[layer.name] for layer in document.layers if isinstance(document.chip.target(layer.target), AnalogTarget)
    )
    products = {name: matmul.products for name, matmul in matmuls.items()}
    return Operations(chosen, vectors, macs, products, on_tiles, sum(macs.values()) - on_tiles, sum(products.values()))


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
