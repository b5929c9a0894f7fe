"""Folding of channel scales: a layer's inputs are divided by whatever computes them, where something can.

A normalisation has a factor and an offset a channel, and a layer has columns: dividing these by the scale gives inputs
that are divided already. What the scale costs then is nothing. It stays a digital multiplication where the inputs are
read by others too, or come out of a function that is not proportional (GELU, softmax).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, fx

from tilewright.compiler.network.layers import WeightLayer
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.rewriting import Rewriter, arguments_of, shape_of
from tilewright.runtime.plan.decisions import Figure
from tilewright.runtime.plan.names import LAYER_PREFIX, layer_path
from tilewright.runtime.units.full_precision import DigitalLinear

aten = torch.ops.aten
NORMS = {aten.layer_norm.default, aten.rms_norm.default}
PROPORTIONAL = {aten.relu.default, aten.neg.default, aten.alias.default, aten.clone.default}
"""Functions with f(x / s) = f(x) / s for s above zero, value by value."""

REGROUPING = {
    aten.reshape.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.squeeze.dim,
    aten.unsqueeze.default,
}
"""Operators that leave numbers in their order and cut it into other dimensions."""

Fold = Callable[[], None]
"""Function that divides one tensor by the scale."""


@torch.no_grad()
def fold_channel_scales(network: Network, scales: Mapping[str, Tensor]) -> set[str]:
    """Fold every channel scale that can be; the others stay digital, with the reason. Returns the layers of the folded.

    scales: layer -> number a channel [inputs], by which its inputs are to be divided.
    """
    folded = set()
    for name, scale in scales.items():
        layer = network.layers[name]
        found = Folding(network, layer, scale).find()
        if isinstance(found, str):
            choice, reason, left = "a digital multiplication a channel", found, layer.inputs
        else:
            choice, reason, left = "folded into what computes its inputs", "nothing else reads these", 0
            for fold in found:
                fold()
            module = network.layer_module(name)
            weight = module.weight
            module.weight = torch.mul(weight, scale, out=network.scratch.empty(weight.shape, weight))
            network.multiply(name, scale, 1.0)
            folded.add(name)
        figure = Figure(name="digital multiplications", value=left, unit="1 a token")
        network.decide("fold_channel_scales", name, choice, reason, figure)
    network.tidy()
    return folded


class Folding:
    """Search for tensors that can be divided by the channel scale of one layer in place of its inputs."""

    def __init__(self, network: Network, layer: WeightLayer, scale: Tensor) -> None:
        self.network, self.layer, self.scale = network, layer, scale

    def find(self) -> list[Fold] | str:
        """The divisions to make, all of them; or the reason why it cannot be done."""
        calls = self.network.uses_of(layer_path(self.layer.name))
        inputs = {call.args[0] for call in calls}
        if len(inputs) != 1:
            return "its uses have inputs of their own"
        source = inputs.pop()
        assert isinstance(source, fx.Node)
        if set(source.users) != set(calls):
            return "its inputs are read elsewhere too"
        return self._into(source)

    def _into(self, node: fx.Node) -> list[Fold] | str:
        if node.target in NORMS:
            return self._norm(node)
        if node.target in PROPORTIONAL or self._keeps_channels(node):
            return self._alone(node.args[0], node)
        if node.target == aten.mul.Tensor:
            return self._factor(node)
        if node.target == aten.add.Tensor and arguments_of(node)["alpha"] == 1:
            return self._sum(node)
        if node.op == "call_module":
            return self._columns(node, 0)
        parts = _part_of_split(node)
        if parts is not None:
            return self._columns(*parts)
        return f"they come from {str(getattr(node.target, '__name__', node.target)).split('.')[0]}"

    def _keeps_channels(self, node: fx.Node) -> bool:
        """True if a node is a change of form that leaves the channels the last dimension."""
        if node.target not in REGROUPING:
            return False
        shapes = [shape_of(node), shape_of(node.args[0])]
        return all(shape is not None and shape[-1] == len(self.scale) for shape in shapes)

    def _alone(self, node: object, user: fx.Node) -> list[Fold] | str:
        """Divisions of an operand, if it has no other reader; else the reason."""
        if not isinstance(node, fx.Node) or set(node.users) != {user}:
            return "what they are computed from is read elsewhere too"
        return self._into(node)

    def _constant(self, node: object, user: fx.Node) -> Fold | None:
        """The division of a constant vector over channels; None if it is not one."""
        tensor = self.network.tensor(node)
        if tensor is None or not isinstance(node, fx.Node) or tensor.numel() != len(self.scale):
            return None
        if tensor.shape[-1] != len(self.scale):
            return None

        def fold() -> None:
            made = Rewriter(self.network, user).constant(str(node.target), tensor / self.scale)
            user.replace_input_with(node, made)

        return fold

    def _norm(self, node: fx.Node) -> list[Fold] | str:
        arguments = arguments_of(node)
        if arguments["weight"] is None:
            return "the normalisation before it has no factors"
        operands = [arguments["weight"], arguments.get("bias")]
        folds = [self._constant(operand, node) for operand in operands if operand is not None]
        found = [fold for fold in folds if fold is not None]
        return found if len(found) == len(folds) else "the normalisation before it has computed factors"

    def _factor(self, node: fx.Node) -> list[Fold] | str:
        """Divisions of either factor of a product; or the reason why there are none."""
        for operand in node.args:
            fold = self._constant(operand, node)
            if fold is not None:
                return [fold]
        reason = "they are a product whose factors are read elsewhere too"
        for operand in node.args:
            if isinstance(operand, fx.Node) and shape_of(operand) == shape_of(node):
                found = self._alone(operand, node)
                if not isinstance(found, str):
                    return found
                reason = found
        return reason

    def _sum(self, node: fx.Node) -> list[Fold] | str:
        """Divisions of both terms of a sum, one of which is a constant; or the reason why there are none."""
        for term, other in (node.args[:2], node.args[1::-1]):
            fold = self._constant(term, node)
            if fold is not None:
                found = self._alone(other, node)
                return found if isinstance(found, str) else [fold, *found]
        return "they are a sum of activations"

    def _columns(self, call: fx.Node, first: int) -> list[Fold] | str:
        """Division of a layer's columns from first, or the reason why there is none."""
        path = str(call.target)
        module = self.network.graph.get_submodule(path)
        if not isinstance(module, DigitalLinear):
            return "they come from a product of activations"
        if len(self.network.uses_of(path)) != 1:
            return "the layer before it has other uses, which it does not scale"
        stop = first + len(self.scale)

        def fold() -> None:
            module.weight = self._divided(module.weight, first, stop, self.scale.unsqueeze(1))
            if module.bias is not None:
                module.bias = self._divided(module.bias, first, stop, self.scale)
            divisor = self.scale.new_ones(module.weight.shape[0])
            divisor[first:stop] = self.scale
            self.network.multiply(path.removeprefix(LAYER_PREFIX), 1.0, 1 / divisor)

        return [fold]

    def _divided(self, tensor: Tensor, first: int, stop: int, scale: Tensor) -> Tensor:
        changed = self.network.scratch.empty(tensor.shape, tensor).copy_(tensor)
        changed[first:stop] /= scale
        return changed


def _part_of_split(node: fx.Node) -> tuple[fx.Node, int] | None:
    """Call and first column of a part of a fused layer's outputs; None for anything else."""
    if node.target is not operator.getitem:
        return None
    split, place = node.args
    if not isinstance(split, fx.Node) or split.target != aten.split_with_sizes.default or not isinstance(place, int):
        return None
    call, sizes = split.args[:2]
    if not isinstance(call, fx.Node) or call.op != "call_module" or set(call.users) != {split}:
        return None
    return call, sum(sizes[:place])  # type: ignore[index,arg-type]
