"""What the passes work on: the graph of one network on its way to a plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

from tilewright.compiler.observation import Observed
from tilewright.runtime.graph_io import set_tensor
from tilewright.runtime.layers import DigitalLinear
from tilewright.runtime.names import layer_path
from tilewright.runtime.plan import (
    Calibration,
    Decision,
    DimensionRecord,
    InputRecord,
    LayerRecord,
    MatmulRecord,
    ModelIdentity,
    OutputRecord,
    Placement,
    Verification,
)
from tilewright.targets.spec import Target

Inputs = dict[str, Tensor]


@dataclass
class Traced:
    """What a frontend gives: the network as a graph over ATen, and what is known of it."""

    graph: fx.GraphModule
    model: ModelIdentity
    inputs: list[InputRecord]
    outputs: list[OutputRecord]
    dimensions: dict[str, DimensionRecord]
    batch_symbols: frozenset[str]
    """The symbols of the size that counts samples in the graph's symbolic shapes; none if it is fixed."""
    examples: list[Inputs]
    """Inputs of several sizes to compare the graph with the model on."""
    expected: list[list[Tensor]]
    """The model's own outputs for them."""
    calibration_inputs: list[Inputs]
    calibration: Calibration
    tokenizer_files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class Compilation:
    """The state that the passes read and change, in running order."""

    traced: Traced
    target: Target
    attention_bits: int | None
    graph: fx.GraphModule
    layers: dict[str, LayerRecord] = field(default_factory=dict)
    layer_inputs: dict[tuple[str, int], Observed] = field(default_factory=dict)
    """What the calibration set showed of each use's input, from observe until calibrate."""
    matmul_operands: dict[tuple[str, int], Observed] = field(default_factory=dict)
    """The same of each matmul's left (0) and right (1) operand."""
    channel_scales: dict[str, Tensor] = field(default_factory=dict)
    """By layer, where rescale_channels found one worth its cost."""
    matmuls: dict[str, MatmulRecord] = field(default_factory=dict)
    placement: Placement | None = None
    decisions: list[Decision] = field(default_factory=list)
    verification: list[Verification] = field(default_factory=list)

    def uses_of(self, path: str) -> Iterator[fx.Node]:
        """The nodes that call the module at ``path``, in order."""
        return (node for node in self.graph.graph.nodes if node.op == "call_module" and node.target == path)

    def layer_module(self, name: str) -> DigitalLinear:
        """The full-precision module of a layer."""
        module = self.graph.get_submodule(layer_path(name))
        assert isinstance(module, DigitalLinear)
        return module

    def tensor(self, node: object) -> Tensor | None:
        """The tensor of a get_attr node; None for anything else."""
        if not isinstance(node, fx.Node) or node.op != "get_attr":
            return None
        value: object = self.graph
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return value.detach() if isinstance(value, torch.Tensor) else None

    def add_tensor(self, path: str, tensor: Tensor) -> None:
        """Make a tensor an attribute of the graph."""
        set_tensor(self.graph, path, tensor)

    def tidy(self) -> None:
        """Remove what nothing uses any more, and renew the graph's code."""
        self.graph.graph.eliminate_dead_code()
        self.graph.delete_all_unused_submodules()
        self.graph.graph.lint()
        self.graph.recompile()
