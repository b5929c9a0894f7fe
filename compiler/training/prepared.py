"""Layers of a network that is prepared for a chip: torch's own, computed as the target's tiles compute them.

A layer is prepared by giving it a subclass of its own class: its parameters, hooks and name stay. While it trains,
weights have the recipe's noise; in evaluation its converters alone are imposed, as on a chip whose devices hold exactly
what they are given and whose reads have no noise.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from tilewright.compiler.network.restorable import Restorable
from tilewright.compiler.training.conditions import Conditions
from tilewright.compiler.training.input_ranges import InputRanges, is_parameter
from tilewright.compiler.training.own_formats import Change, own_formats
from tilewright.compiler.training.precision import in_float32, is_recomputing
from tilewright.compiler.training.tile_row import TileRowInTraining, range_gradient

if TYPE_CHECKING:

    class _Base(Restorable, nn.Module): ...
else:
    _Base = Restorable

OWN = ("layer_name", "conditions", "row_splits", "clip_deviations", "calls", "range_owners")
"""Attributes of a prepared layer beside parameters, buffers and modules."""


class PreparedLayer(_Base):
    """Base of prepared layers: the law of a layer on tiles, with gradients.

    input_range [row-blocks]: |input| at full scale of the DACs, a parameter if the optimiser moves it, else a buffer;
    None where each vector has its own. channel_scale [inputs] or None: what inputs are divided and weights multiplied
    by.
    """

    weight: Tensor
    input_range: Tensor | None
    channel_scale: Tensor | None
    learning: InputRanges
    layer_name: str
    conditions: Conditions
    row_splits: list[int]
    clip_deviations: float | None
    calls: tuple[int, int, int]
    """Number of a pass, and of the calls of this layer in it: forward, and again for a backward pass."""
    range_owners: tuple[PreparedLayer, ...]
    """The layer whose ranges these inputs have, where several share the DACs; else none."""

    def become(
        self,
        name: str,
        conditions: Conditions,
        row_splits: list[int],
        input_range: float | None,
        channel_scale: Tensor | None,
        clip_deviations: float | None,
        shares: PreparedLayer | None,
    ) -> None:
        """Take the state of a prepared layer.

        input_range: of every row-block; None where each vector has its own. shares: layer on the same DACs, whose
        ranges it has.
        """
        self.layer_name, self.conditions, self.row_splits = name, conditions, row_splits
        self.clip_deviations, self.calls = clip_deviations, (-1, 0, 0)
        rule, device = conditions.recipe.input_ranges, self.weight.device
        self.register_buffer("channel_scale", None if channel_scale is None else channel_scale.clone().to(device))
        self.range_owners = () if shares is None else (shares,)
        if shares is not None:
            return
        ranges = None if input_range is None else torch.full((len(row_splits),), input_range, device=device)
        if ranges is not None and is_parameter(rule):
            self.register_parameter("input_range", nn.Parameter(ranges))
        else:
            self.register_buffer("input_range", ranges)
        self.add_module("learning", InputRanges(rule, len(row_splits)).to(device))

    def _apply(self, fn: Change, recurse: bool = True) -> Self:
        with own_formats(self, ["input_range", "channel_scale"]):
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def restore(self) -> None:
        """Be torch's own layer again, with the weights that it has now."""
        self._parameters.pop("input_range", None)
        for name in ("input_range", "channel_scale"):
            self._buffers.pop(name, None)
        self._modules.pop("learning", None)
        for name in OWN:
            self.__dict__.pop(name, None)
        self.__class__ = type(self).torch_class  # type: ignore[attr-defined]

    def trained(self) -> dict[str, Tensor]:
        """The layer's ranges and channel scale, as a checkpoint has them beside its weight."""
        ranges = self.range_owner.input_range
        found = {"input_range": ranges, "channel_scale": self.channel_scale}
        splits = {} if ranges is None else {"row_splits": torch.tensor(self.row_splits)}
        return {name: tensor for name, tensor in found.items() if tensor is not None} | splits

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Save ranges and their places of every layer, those too that are another's: so any checkpoint compiles."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, tensor in self.trained().items():
            destination.setdefault(prefix + name, tensor.detach().clone())

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        """Load what the layer itself holds; ranges of another layer, and places, are there already."""
        super()._load_from_state_dict(state_dict, prefix, *arguments)
        unexpected = arguments[3]
        for name in self.trained():
            if prefix + name in unexpected:
                unexpected.remove(prefix + name)

    @property
    def range_owner(self) -> PreparedLayer:
        """Layer that holds the ranges of these inputs: this one, unless others share its DACs."""
        return self.range_owners[0] if self.range_owners else self

    @property
    def moves_ranges(self) -> bool:
        """True if training moves the ranges: not those of a frozen layer, which is on the chip already."""
        ranges = self.input_range
        return self.weight.requires_grad or (ranges is not None and ranges.requires_grad)

    def matrix(self) -> Tensor:
        """Weights [columns, rows] as tiles hold them, in the model's units."""
        return self.weight

    def forward(self, *arguments: Tensor, **named: Tensor) -> Tensor:
        """Outputs of the layer as the target's tiles make them, in the shape of torch's own."""
        (given,) = (*arguments, *named.values())  # torch's layers call it input, transformers' x
        return in_float32(self._forward, given)

    def _forward(self, x: Tensor) -> Tensor:
        owner = self.range_owner
        ranges, learning = owner.input_range, owner.learning
        learns = self.training and torch.is_grad_enabled() and owner.moves_ranges
        if ranges is not None and learns:
            learning.move(ranges)
        parts, call = self.parts(x), self._call()
        starts = self.training and owner.moves_ranges and learning.starts
        if ranges is not None and starts and owner is self and not is_recomputing():
            learning.see(ranges, parts)
        matrix = self.matrix()
        matrix = matrix if matrix.dtype == torch.float64 else matrix.float()  # levels are no numbers of bfloat16
        blocks = matrix.split(self.row_splits, dim=1)
        scales = [None] * len(blocks) if self.channel_scale is None else self.channel_scale.split(self.row_splits)
        total: Tensor | None = None
        for block, (values, weight, scale) in enumerate(zip(parts, blocks, scales, strict=True)):
            row = TileRowInTraining(
                self.conditions,
                ("training", self.layer_name, block),
                partial(self.product, block),
                self.training,
                self.clip_deviations,
            )
            gradient = range_gradient(learning.gradient, ranges, block) if ranges is not None and learns else None
            own = None if ranges is None else ranges[block]
            made = row.read(values, weight, scale, own, gradient, call, self.over_columns)
            total = made if total is None else total + made
        assert total is not None
        bias = self._parameters.get("bias")
        outputs = total if bias is None else total + self.over_columns(bias)
        return self.in_shape(outputs, x)

    def _call(self) -> int:
        """Number of this call within the pass.

        Where activations are not kept, a backward pass calls the layer again, the last call first: with the same noise.
        """
        number, forward, again = (
            self.calls if self.calls[0] == self.conditions.passes else (self.conditions.passes, 0, 0)
        )
        if is_recomputing():
            self.calls = (number, forward, again + 1)
            return max(0, forward - 1 - again)
        self.calls = (number, forward + 1, again)
        return forward

    def parts(self, x: Tensor) -> list[Tensor]:
        """Inputs of each row-block [..., rows], divided by the channel scale."""
        values = x if self.channel_scale is None else x / self.channel_scale
        return list(values.split(self.row_splits, dim=-1)) if len(self.row_splits) > 1 else [values]

    def product(self, block: int, values: Tensor, weights: Tensor) -> Tensor:
        """Sums [..., columns] of a row-block's inputs [..., rows] and weights [columns, rows]."""
        return functional.linear(values, weights)

    def over_columns(self, values: Tensor) -> Tensor:
        """Values [columns] in a shape that multiplies outputs."""
        return values

    def in_shape(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Outputs in the shape that torch's own layer gives for an input."""
        return outputs


class PreparedLinear(PreparedLayer, nn.Linear):
    """A prepared ``torch.nn.Linear``."""

    torch_class = nn.Linear


class PreparedConvolution(PreparedLayer):
    """Base of prepared convolutions.

    Where one range and one scale a channel are enough, an image is converted once and convolved; else its patches are
    laid out, and the law is that of a linear layer.
    """

    kernel_size: tuple[int, ...]
    dilation: tuple[int, ...]
    stride: tuple[int, ...]
    _reversed_padding_repeated_twice: list[int]
    by_patches: bool

    def become(self, *arguments: Any, **named: Any) -> None:
        """Take the state of a prepared layer; see ``PreparedLayer.become``."""
        super().become(*arguments, **named)
        size = self.weight[0, 0].numel()
        scale = self.channel_scale
        varies = scale is not None and bool((scale.view(-1, size) != scale.view(-1, size)[:, :1]).any())
        self.by_patches = self.range_owner.input_range is None or varies

    def restore(self) -> None:
        """Be torch's own layer again, with the weights that it has now."""
        self.__dict__.pop("by_patches", None)
        super().restore()

    def matrix(self) -> Tensor:
        """Weights [columns, rows]: a row for each channel and place of the kernel."""
        return self.weight.flatten(1)

    def parts(self, x: Tensor) -> list[Tensor]:
        """Inputs of each row-block: patches, or images of the channels that it reads, divided by the channel scale."""
        if self.by_patches:
            return super().parts(self._patches(x))
        if self.channel_scale is not None:
            size = self.weight[0, 0].numel()
            x = x / self.over_columns(self.channel_scale[::size])
        return [x.narrow(-self._dimensions - 1, first, last - first) for first, last in self._channels()]

    def product(self, block: int, values: Tensor, weights: Tensor) -> Tensor:
        """Sums of a row-block: [..., patches, columns], or images [..., columns, height, width]."""
        if self.by_patches:
            return super().product(block, values, weights)
        size, (first, last) = self.weight[0, 0].numel(), self._channels()[block]
        start = sum(self.row_splits[:block]) - first * size
        whole = functional.pad(weights, (start, (last - first) * size - start - weights.shape[1]))
        kernels = whole.view(len(weights), last - first, *self.kernel_size)
        return self._convolved(values, kernels)

    def over_columns(self, values: Tensor) -> Tensor:
        """Values [columns] in a shape that multiplies outputs: the last dimension of patches, channels of images."""
        return values if self.by_patches else values.view(-1, *[1] * self._dimensions)

    def in_shape(self, outputs: Tensor, x: Tensor) -> Tensor:
        """Outputs as images [..., columns, height, width]."""
        if not self.by_patches:
            return outputs
        with torch.device("meta"):
            like = torch.empty(x.shape), torch.empty(self.weight.shape)
        sizes = self._convolved(*like).shape[-self._dimensions :]
        images: Tensor = outputs.transpose(-1, -2).unflatten(-1, sizes)
        return images

    def _convolved(self, values: Tensor, kernels: Tensor) -> Tensor:
        made: Tensor = self._conv_forward(values, kernels, None)  # type: ignore[operator]
        return made

    @property
    def _dimensions(self) -> int:
        return len(self.kernel_size)

    def _channels(self) -> list[tuple[int, int]]:
        """Channels that each row-block reads, from and up to."""
        size = self.weight[0, 0].numel()
        ends = [0, *accumulate(self.row_splits)]
        return [(start // size, -(-end // size)) for start, end in pairwise(ends)]

    def _patches(self, x: Tensor) -> Tensor:
        """Patches [..., patches, channels · kernel] of images [..., channels, height, width]."""
        mode = "constant" if self.padding_mode == "zeros" else str(self.padding_mode)
        x = functional.pad(x, self._reversed_padding_repeated_twice, mode=mode)
        kernel, dilation, stride = self.kernel_size, self.dilation, self.stride
        if self._dimensions == 1:
            x, kernel, dilation, stride = x.unsqueeze(-2), (1, *kernel), (1, *dilation), (1, *stride)
        return functional.unfold(x, kernel, dilation, 0, stride).transpose(-1, -2)


class PreparedConv1d(PreparedConvolution, nn.Conv1d):
    """A prepared ``torch.nn.Conv1d``."""

    torch_class = nn.Conv1d


class PreparedConv2d(PreparedConvolution, nn.Conv2d):
    """A prepared ``torch.nn.Conv2d``."""

    torch_class = nn.Conv2d


def prepared_class(module: nn.Module) -> type[PreparedLayer] | None:
    """Class that a module takes when it is prepared; None for modules that cannot be."""
    known: dict[type, type[PreparedLayer]] = {
        nn.Linear: PreparedLinear,
        nn.Conv1d: PreparedConv1d,
        nn.Conv2d: PreparedConv2d,
    }
    if type(module) in known:
        return None if getattr(module, "groups", 1) != 1 else known[type(module)]
    if type(module).__name__ == "Conv1D" and type(module).__module__ == "transformers.pytorch_utils":
        from tilewright.compiler.training.prepared_gpt2 import PreparedConv1D

        return PreparedConv1D
    return None
