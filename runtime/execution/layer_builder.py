"""Modules that a plan's graph calls, from its records: the one place where a layer's record becomes a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from tilewright.runtime.chip.analog_linear import AnalogLinear, LayerTensors, TileLayout
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.simulated_chip import SimulatedChip
from tilewright.runtime.chip.uses import SampleAxis, Use
from tilewright.runtime.execution.on_demand import OnDemandLinear
from tilewright.runtime.plan.names import bias_key, calibration_key, channel_scale_key, weight_key
from tilewright.runtime.plan.records import LayerRecord, MatmulRecord, PlanDocument, UseRecord
from tilewright.runtime.units.full_precision import DigitalLinear, DigitalMatmul
from tilewright.runtime.units.linear import DigitalUnitLinear
from tilewright.runtime.units.matmul import UnitMatmul
from tilewright.targets.spec import AnalogTarget, DigitalTarget


class LayerBuilder:
    """Modules of a plan's layers and products on one chip."""

    def __init__(
        self,
        document: PlanDocument,
        tensors: Mapping[str, Tensor],
        draws: Draws,
        *,
        compensate: bool = True,
        kept_as: torch.dtype = torch.float32,
        layer_by_layer: bool = False,
    ) -> None:
        """Take a plan's document and tensors, and the draws that name a chip.

        compensate, kept_as: see ``SimulatedChip``. layer_by_layer: layers on tiles are programmed at each call, and not
        kept.
        """
        self.document, self.tensors, self.layer_by_layer = document, tensors, layer_by_layer
        self._chips = {
            tiles.target.name: SimulatedChip(tiles.target, draws, compensate, kept_as) for tiles in document.chip.tiles
        }
        self._methods = {method.name: method for method in document.programming}

    def layer(self, layer: LayerRecord) -> nn.Module:
        """The layer on its target."""
        return REALISATIONS[type(self.document.chip.target(layer.target))](self, layer)

    def full_precision(self, layer: LayerRecord) -> DigitalLinear:
        """The layer as the model computes it."""
        return DigitalLinear(*self._matrix(layer))

    def on_tiles(self, layer: LayerRecord) -> AnalogLinear | OnDemandLinear:
        """The layer programmed on tiles, or a layer that is when it is called."""
        return OnDemandLinear(partial(self._programmed, layer)) if self.layer_by_layer else self._programmed(layer, 0.0)

    def _programmed(self, layer: LayerRecord, seconds: float) -> AnalogLinear:
        (weight, bias), option = self._matrix(layer), layer.option
        scale = self.tensors[channel_scale_key(layer.name)] if option.has_channel_scale else None
        calibration = self.tensors[calibration_key(layer.name, layer.target)] if option.has_calibration else None
        return AnalogLinear(
            layer.name,
            self._chips[layer.target],
            LayerTensors(weight, bias, scale, calibration.float() if calibration is not None else None),
            TileLayout(
                option.row_splits,
                option.column_splits,
                self._methods[option.programming] if option.programming else None,
                option.clip_deviations,
            ),
            [
                Use(full_scale, sample_axis(use))
                for full_scale, use in zip(_full_scales(layer), layer.uses, strict=True)
            ],
            seconds,
        )

    def on_unit(self, layer: LayerRecord) -> DigitalUnitLinear:
        """The layer on a digital unit."""
        target = self.document.chip.target(layer.target)
        assert isinstance(target, DigitalTarget)
        return DigitalUnitLinear(*self._matrix(layer), target, _full_scales(layer))

    def matmul(self, matmul: MatmulRecord) -> nn.Module:
        """A product of two activations, as its record says."""
        if matmul.operands == "fp32":
            return DigitalMatmul()
        return UnitMatmul(matmul.operands, matmul.left_ranges, matmul.right_ranges, left_signed=matmul.left_signed)

    def _matrix(self, layer: LayerRecord) -> tuple[Tensor, Tensor | None]:
        weight = self.tensors[weight_key(layer.name)].to(torch.float32)
        bias = self.tensors[bias_key(layer.name)].to(torch.float32) if layer.has_bias else None
        return weight, bias


REALISATIONS: dict[type, Callable[[LayerBuilder, LayerRecord], nn.Module]] = {
    AnalogTarget: LayerBuilder.on_tiles,
    DigitalTarget: LayerBuilder.on_unit,
}
"""Kind of target -> how a layer is made on it. A new kind is a line here."""


def _full_scales(layer: LayerRecord) -> list[float]:
    """Input range of each use; 1 where each vector has its own."""
    return [input_range or 1.0 for input_range in layer.option.input_ranges]


def sample_axis(use: UseRecord) -> SampleAxis | None:
    """Place of the samples in the inputs of a use; None if there is none."""
    axis = use.sample_axis
    return SampleAxis(axis.dimension, axis.innermost) if axis is not None else None
