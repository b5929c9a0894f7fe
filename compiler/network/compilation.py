"""What the passes work on: the graph of one network on its way to a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from tilewright.compiler.network.scratch import Scratch
from tilewright.compiler.observing.observation import Observed
from tilewright.runtime.chip.layers import DigitalLinear
from tilewright.runtime.plan.decisions import Decision, Verification
from tilewright.runtime.plan.graph import set_tensor
from tilewright.runtime.plan.names import layer_path
from tilewright.runtime.plan.records import (
    Calibration,
    DimensionRecord,
    InputRecord,
    LayerRecord,
    MatmulRecord,
    ModelIdentity,
    OutputRecord,
    Placement,
    UnusedTensor,
    WeightRecord,
)
from tilewright.runtime.storage.memory_map import used
from tilewright.targets.spec import AnalogTarget, AttentionUnit, Chip, DigitalTarget, Programming

Inputs = dict[str, Tensor]
FOLDED = "folded."
"""Where tensors are that the compiler computed from the model's own."""


@dataclass(frozen=True)
class Original:
    """The network itself, to compare with."""

    runs_on: str
    """What computes it, with its version."""
    run: Callable[[Inputs], list[Tensor]]
    """Inputs in the graph's order -> its outputs as the graph gives them."""
    tolerance: float = 1e-4
    """The relative difference that is allowed: larger for a model that itself computes in 16 bits."""


@dataclass
class Traced:
    """What a frontend gives: the network as a graph over ATen, and what is known of it."""

    graph: fx.GraphModule
    model: ModelIdentity
    inputs: list[InputRecord]
    outputs: list[OutputRecord]
    dimensions: dict[str, DimensionRecord]
    examples: list[Inputs]
    """Inputs of several sizes to compare the graph with the model on; none without weights."""
    expected: list[list[Tensor]]
    """The model's own outputs for them."""
    original: Original | None
    calibration_inputs: list[Inputs]
    calibration: Calibration
    parameters: dict[str, Tensor] = field(default_factory=dict)
    """The model's own parameters by its own names, tied ones once; their shapes alone once the graph was matched."""
    copies: dict[str, str] = field(default_factory=dict)
    """Parameters that are stored again under another name -> the one that the graph reads."""
    tokenizer_files: dict[str, bytes] = field(default_factory=dict)
    has_weights: bool = True
    """Whether tensors have numbers. Those of a model's config alone are on the meta device."""
    size_conditions: list[str] = field(default_factory=list)
    """Conditions that tracing took for true of the sizes that may vary."""
    asked_later: Callable[[], list[str]] = list
    """Function that returns the conditions that passes took for true of sizes that may vary, since tracing."""
    trials: list[tuple[Inputs, list[Tensor]]] = field(default_factory=list)
    """Inputs of sizes at which nothing but a run told that the graph is the model, and the model's outputs."""
    unused_tensors: list[UnusedTensor] = field(default_factory=list)
    """Tensors that the model's files hold beside its weights."""
    notes: list[str] = field(default_factory=list)
    """What the frontend changed on the way, for the plan."""


@dataclass(frozen=True)
class LayerOrigins:
    """The parameters that a layer's matrix and bias were made of."""

    weight: tuple[str, ...]
    bias: tuple[str, ...]


@dataclass
class Compilation:
    """The state that the passes read and change, in running order."""

    traced: Traced
    chip: Chip
    attention_units: dict[str, AttentionUnit]
    """Pattern of products' names -> the unit they run on; the last that matches counts."""
    graph: fx.GraphModule
    wanted_targets: dict[str, str] = field(default_factory=dict)
    """Pattern of layer names -> target that the user asks for."""
    wanted_programming: dict[str, Programming] = field(default_factory=dict)
    """Pattern of layer names -> programming method that the user asks for."""
    methods: dict[str, Programming] = field(default_factory=dict)
    """The programming methods in use, by name."""
    origins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The parameters that each tensor of the graph was made of, the largest first; none for buffers and constants."""
    source_names: dict[str, str] = field(default_factory=dict)
    """What a computed tensor is called after, by its path."""
    layer_origins: dict[str, LayerOrigins] = field(default_factory=dict)
    """The same of each layer's matrix and bias."""
    digital_reasons: dict[str, str] = field(default_factory=dict)
    """Why a parameter that might have gone on tiles stays digital, where a pass found so."""
    weights: list[WeightRecord] = field(default_factory=list)
    """Where every parameter went: filled by the last pass."""
    layers: dict[str, LayerRecord] = field(default_factory=dict)
    layer_inputs: dict[tuple[str, int], Observed] = field(default_factory=dict)
    """What the calibration set showed of each use's input, from observe until offer_targets."""
    matmul_operands: dict[tuple[str, int], Observed] = field(default_factory=dict)
    """The same of each matmul's left (0) and right (1) operand."""
    channel_scales: dict[str, Tensor] = field(default_factory=dict)
    """By layer, where rescale_channels found one worth its cost."""
    calibrations: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    """By layer and target, inputs on tiles in parts of their range, for targets with affine compensation."""
    matmuls: dict[str, MatmulRecord] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    """By matmul, how many heads have ranges of their own, where its unit has and the graph says how many there are."""
    scratch: Scratch = field(default_factory=Scratch)
    """Where large tensors that passes make are kept."""
    placement: Placement | None = None
    decisions: list[Decision] = field(default_factory=list)
    verification: list[Verification] = field(default_factory=list)

    def target_of(self, layer: LayerRecord) -> AnalogTarget | DigitalTarget:
        """The target that a layer was assigned to."""
        return self.chip.target(layer.target)

    def layers_on_tiles(self) -> Iterator[tuple[LayerRecord, AnalogTarget]]:
        """The layers that are on tiles, each with its target."""
        for layer in self.layers.values():
            target = self.target_of(layer)
            if isinstance(target, AnalogTarget):
                yield layer, target

    def method_of(self, layer: LayerRecord) -> Programming:
        """The method by which a layer on tiles is programmed."""
        assert layer.programming is not None
        return self.methods[layer.programming]

    def uses_of(self, path: str) -> Iterator[fx.Node]:
        """The nodes that call the module at ``path``, in order."""
        return (node for node in self.graph.graph.nodes if node.op == "call_module" and node.target == path)

    def layer_module(self, name: str) -> DigitalLinear:
        """The full-precision module of a layer."""
        module = self.graph.get_submodule(layer_path(name))
        assert isinstance(module, DigitalLinear)
        used(module.weight)
        return module

    def tensor(self, node: object) -> Tensor | None:
        """The tensor of a get_attr node; None for anything else."""
        if not isinstance(node, fx.Node) or node.op != "get_attr":
            return None
        value: object = self.graph
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return value.detach() if isinstance(value, torch.Tensor) else None

    def add_tensor(self, wanted: str, tensor: Tensor, made_of: tuple[str, ...] = ()) -> str:
        """Make a tensor an attribute of the graph. Returns its path: ``wanted``, with a number if that is taken.

        made_of: paths of the tensors that it was computed from.
        """
        wanted = wanted.removeprefix(FOLDED)
        path, number = FOLDED + wanted, 2
        while not self._is_free(path):  # one word below the top: a tensor may stand in the way of a longer path
            path, number = f"{FOLDED}{wanted.replace('.', '_')}_{number}", number + 1
        set_tensor(self.graph, path, self.scratch.keep(tensor))
        parameters = dict.fromkeys(name for source in made_of for name in self.origins.get(source, ()))
        sizes = self.traced.parameters
        self.origins[path] = tuple(sorted(parameters, key=lambda name: -sizes[name].numel()))
        self.source_names[path] = self.source_names.get(FOLDED + wanted, wanted)
        return path

    def _is_free(self, path: str) -> bool:
        """Whether neither the path nor a part of it is a tensor, and nothing lies below it."""
        *parents, last = path.split(".")
        module: nn.Module = self.graph
        for part in parents:
            if part in module._buffers or part in module._parameters:
                return False
            inner = module._modules.get(part)
            if inner is None:
                return True
            module = inner
        return not hasattr(module, last)

    def tidy(self) -> None:
        """Remove what nothing uses any more, and renew the graph's code."""
        self.graph.graph.eliminate_dead_code()
        self.graph.delete_all_unused_submodules()
        self.graph.graph.lint()
        self.graph.recompile()
