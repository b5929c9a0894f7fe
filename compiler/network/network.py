"""A network on its way to a plan: its graph, and the layers and products that lowering finds in it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain

import torch
from torch import Tensor, fx, nn

from tilewright.compiler.network.layers import Product, WeightLayer
from tilewright.compiler.network.names import numbered
from tilewright.compiler.network.scratch import Scratch
from tilewright.compiler.network.traced import Traced
from tilewright.compiler.network.trained_layers import TrainedLayer
from tilewright.runtime.plan.decisions import Decision, Figure, Verification
from tilewright.runtime.plan.graph import set_tensor
from tilewright.runtime.plan.names import LOOP_PREFIX, layer_path
from tilewright.runtime.plan.records import Role
from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.storage.memory_place import memory_place
from tilewright.runtime.units.full_precision import DigitalLinear
from tilewright.runtime.units.loop import Loop

FOLDED = "folded."
"""Beginning of the paths of tensors that the compiler computed from the model's own."""


@dataclass
class Network:
    """State of lowering: passes read and change the graph, and add what they find. Nothing here knows of targets."""

    traced: Traced
    graph: fx.GraphModule
    parameters: dict[str, Tensor]
    """The model's own parameters by its own names, tied ones once; their shapes alone once the graph was matched."""
    layers: dict[str, WeightLayer] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    fused: dict[str, list[WeightLayer]] = field(default_factory=dict)
    """Layers that were fused, in the order of their columns, by the name of the layer they became."""
    origins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Parameters that each tensor of the graph was made of, the largest first; none for buffers and constants."""
    own: set[str] = field(default_factory=set)
    """Paths of tensors that hold a parameter's own numbers, in its order or another; empty once layers are found."""
    source_names: dict[str, str] = field(default_factory=dict)
    """Names that computed tensors are called after, by their paths."""
    digital: dict[str, tuple[Role, str]] = field(default_factory=dict)
    """Role and reason of the parameters that a pass found to stay digital, by name."""
    factors: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    """Factors [inputs] and [outputs] that passes put into layers' matrices, beside the model's numbers, by layer."""
    scratch: Scratch = field(default_factory=Scratch)
    """Storage of large tensors that passes make."""
    decisions: list[Decision] = field(default_factory=list)
    verification: list[Verification] = field(default_factory=list)
    is_lowered: bool = False
    """True once all passes over the graph that know of no chip are done."""

    @classmethod
    def of(cls, traced: Traced) -> Network:
        """The network that a frontend traced, before the first pass.

        What holds the model itself, which may be as large as all that the passes work on, is let go.
        """
        return cls(replace(traced, original=None, parameters={}), traced.graph, traced.parameters)

    def settle(self) -> None:
        """End lowering: shapes become plain, and what passes asked of sizes meanwhile a condition of the network.

        Nothing of torch's tracing is held any more. Matrices that a model stores transposed are laid out as they are
        used: so a network computes the same bits whether it was stored meanwhile or not.
        """
        for name in self.layers:
            module = self.layer_module(name)
            if not module.weight.is_contiguous():
                module.weight = self.scratch.empty(module.weight.shape, module.weight).copy_(module.weight)
        for node in chain(self.graph.graph.nodes, *(loop.body.graph.nodes for _, loop in self.loops)):
            value = node.meta.get("val")
            sizes = value.shape if isinstance(value, Tensor) else None
            node.meta = {} if sizes is None else {"shape": tuple(s if isinstance(s, int) else str(s) for s in sizes)}
        conditions = list(dict.fromkeys([*self.traced.size_conditions, *self.traced.asked_later()]))
        self.traced = replace(self.traced, size_conditions=conditions, asked_later=list)
        self.is_lowered = True

    def multiply(self, layer: str, inputs: Tensor | float, outputs: Tensor | float) -> None:
        """Note that a layer's matrix was multiplied by factors of its inputs and of its outputs."""
        weight = self.layer_module(layer).weight
        before = self.factors.get(layer, (weight.new_ones(weight.shape[1]), weight.new_ones(weight.shape[0])))
        self.factors[layer] = before[0] * inputs, before[1] * outputs

    @property
    def loops(self) -> list[tuple[fx.Node, Loop]]:
        """Loops with the nodes that call them, each once, in order."""
        calls = [node for node in self.graph.graph.nodes if str(node.target).startswith(LOOP_PREFIX)]
        found = [(node, self.graph.get_submodule(str(node.target))) for node in calls if node.op == "call_module"]
        return [(node, loop) for node, loop in found if isinstance(loop, Loop)]

    def uses_of(self, path: str) -> list[fx.Node]:
        """The nodes that call the module at ``path``, in order."""
        return list(self.graph.graph.find_nodes(op="call_module", target=path))

    def calls_of(self, *functions: object) -> list[fx.Node]:
        """The nodes that call one of these operators, in order."""
        return [node for node in self.graph.graph.nodes if node.target in functions]

    def replace(self, old: fx.Node, new: fx.Node) -> None:
        """Let ``new`` be read wherever ``old`` was, and remove that."""
        old.replace_all_uses_with(new)
        old.graph.erase_node(old)

    def layer_module(self, name: str) -> DigitalLinear:
        """The full-precision module of a layer."""
        module = self.graph.get_submodule(layer_path(name))
        assert isinstance(module, DigitalLinear)
        used(module.weight)
        return module

    def trained_of(self, layer: WeightLayer) -> TrainedLayer | None:
        """The input ranges that a layer was trained with; None if it was not, or its parts were with several."""
        found = [self.traced.trained.get(part.weight) for part in layer.parts]
        first = found[0]
        if first is None or first.inputs != layer.inputs:
            return None
        return first if all(one is not None and first.is_law_of(one) for one in found) else None

    @property
    def trained_weights(self) -> dict[str, list[str]]:
        """Weights of the model whose trained ranges are those of a layer, by layer."""
        trained = [layer for layer in self.layers.values() if self.trained_of(layer) is not None]
        return {layer.name: [part.weight for part in layer.parts] for layer in trained}

    def tensor(self, node: object) -> Tensor | None:
        """The tensor of a get_attr node; None for anything else."""
        return self._tensor_at(str(node.target)) if isinstance(node, fx.Node) and node.op == "get_attr" else None

    def _tensor_at(self, path: str) -> Tensor | None:
        value: object = self.graph
        for part in path.split("."):
            value = getattr(value, part)
        return value.detach() if isinstance(value, torch.Tensor) else None

    def origins_of(self, node: object) -> tuple[str, ...]:
        """Parameters that the tensor of a get_attr node was made of, the largest first; none for anything else."""
        return self.origins.get(str(node.target), ()) if isinstance(node, fx.Node) and node.op == "get_attr" else ()

    def stays_digital(self, node: object, role: Role, reason: str) -> None:
        """Note that the parameters in the tensor of a get_attr node do not go on tiles, and why."""
        self.digital |= dict.fromkeys(self.origins_of(node), (role, reason))

    def decide(self, made_by: str, subject: str, choice: str, reason: str, figure: Figure) -> None:
        """Note the decision of a pass."""
        self.decisions.append(
            Decision(made_by=made_by, subject=subject, choice=choice, reason=reason, figures=[figure])
        )

    def add_tensor(self, wanted: str, tensor: Tensor, made_of: tuple[str, ...] = ()) -> str:
        """Make a tensor an attribute of the graph. Returns its path: ``wanted``, with a number if that is taken.

        made_of: paths of the tensors that it was computed from.
        """
        wanted = wanted.removeprefix(FOLDED)
        # one word below the top: a tensor may stand in the way of a longer path
        path = numbered(FOLDED + wanted, self._is_free, FOLDED + wanted.replace(".", "_"))
        if any(self._is_rearranged(tensor, source) for source in made_of):
            self.own.add(path)
        set_tensor(self.graph, path, self.scratch.keep(tensor))
        parameters = dict.fromkeys(name for source in made_of for name in self.origins.get(source, ()))
        sizes = self.parameters
        self.origins[path] = tuple(sorted(parameters, key=lambda name: -sizes[name].numel()))
        self.source_names[path] = self.source_names.get(FOLDED + wanted, wanted)
        return path

    def _is_rearranged(self, tensor: Tensor, path: str) -> bool:
        """True if a tensor is a view of all numbers of the one at a path, and these are a parameter's own."""
        source = self._tensor_at(path) if path in self.own else None
        return source is not None and tensor.numel() == source.numel() and memory_place(tensor) == memory_place(source)

    def _is_free(self, path: str) -> bool:
        """True if neither the path nor a part of it is a tensor, and nothing lies below it."""
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
        self.hold_what_loops_call()
        self.graph.recompile()

    def hold_what_loops_call(self) -> None:
        """Let the graph hold the layers and products that loops call, where they are looked for."""
        for _, loop in self.loops:
            for path in {str(node.target) for node in loop.body.graph.nodes if node.op == "call_module"}:
                self.graph.add_submodule(path, loop.body.get_submodule(path))
