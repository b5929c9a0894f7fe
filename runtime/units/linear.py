"""Layers on digital units, with numbers rounded to a unit's formats."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.chip.arithmetic.integer_product import integer_product
from tilewright.runtime.chip.chosen_rows import read_chosen
from tilewright.runtime.chip.fixed_precision import FixedPrecision
from tilewright.runtime.chip.nonfinite import rows_apart
from tilewright.runtime.chip.programming.scaling import divisor, weight_scale
from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.units.formats import largest_step, rounded, to_steps
from tilewright.targets.spec import DigitalTarget, bits_of


class DigitalUnitLinear(FixedPrecision):
    """A layer on a digital unit: weights with a scale a column, inputs with a range a use; sums are not rounded."""

    weight: Tensor
    bias: Tensor | None
    scale: Tensor
    """Scale of the weights [out]."""
    steps: Tensor | None
    """Weights as whole numbers, where weights and inputs are such."""
    held: Tensor | None
    """Weights as the unit holds them, in the model's units, where they or the inputs are floats."""

    def __init__(self, weight: Tensor, bias: Tensor | None, unit: DigitalTarget, input_ranges: list[float]) -> None:
        """Round the weight [out, in] to the unit's format. bias: [out]; input_ranges: one a use."""
        super().__init__()
        self.unit, self.input_ranges = unit, input_ranges
        self.weight_bits, self.input_bits = bits_of(unit.weights), bits_of(unit.inputs)
        scale = divisor(weight_scale(weight, [len(weight)]))
        steps = held = None
        if self.weight_bits is not None and self.input_bits is not None:
            steps = to_steps(weight, scale.unsqueeze(1), self.weight_bits)
            self.fits_eight_bits = max(self.weight_bits, self.input_bits) <= 8
            steps = steps.to(torch.int8) if self.fits_eight_bits else steps.double()
        else:
            held = rounded(weight, unit.weights, scale.unsqueeze(1))
        for name, tensor in (("weight", weight), ("bias", bias), ("scale", scale), ("steps", steps), ("held", held)):
            self.hold(name, tensor)

    def held_weights(self) -> Tensor:
        """The weights as the unit holds them [out, in], in the model's units."""
        if self.steps is None:
            assert self.held is not None
            return self.held
        assert self.weight_bits is not None
        held: Tensor = self.steps.float() * (self.scale / largest_step(self.weight_bits)).unsqueeze(1)
        return held

    def forward(self, x: Tensor, use: int = 0, chosen: Tensor | None = None) -> Tensor:
        """Outputs [..., out] of inputs x [..., in]. Sums of whole numbers are exact.

        A vector that holds a NaN or infinity has the model's product, as on tiles. chosen: vectors [...] that are read,
        all if None; see ``read_chosen``.
        """
        read = partial(rows_apart, on_chip=partial(self._multiply, self.input_ranges[use]), in_model=self._exact)
        if chosen is not None:
            return read_chosen(x, chosen, len(self.scale), lambda values, _: read(values))
        outputs: Tensor = read(x.reshape(-1, x.shape[-1]))
        return outputs.view(*x.shape[:-1], outputs.shape[-1])

    def _exact(self, values: Tensor) -> Tensor:
        return functional.linear(values, used(self.weight), self.bias)

    def _multiply(self, input_range: float, values: Tensor) -> Tensor:
        """Outputs [M, out] of the unit for finite inputs [M, in]."""
        if self.steps is None:
            assert self.held is not None
            outputs = functional.linear(rounded(values, self.unit.inputs, input_range), self.held)
        else:
            assert self.weight_bits is not None and self.input_bits is not None
            steps = to_steps(values, input_range, self.input_bits)
            if self.fits_eight_bits:
                product = integer_product(steps.to(torch.int8), self.steps)
            else:
                product = steps.double() @ self.steps.T
            largest = largest_step(self.weight_bits) * largest_step(self.input_bits)
            outputs = product.to(torch.float32).mul_(self.scale * (input_range / largest))
        if self.bias is not None:
            outputs = outputs.add_(self.bias)
        return outputs
