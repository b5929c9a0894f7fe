"""The modules that a plan's graph calls: layers on tiles, and matmuls on the digital attention unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from tilewright.runtime.draws import Draws
from tilewright.runtime.drift import conductances_at, one_hot_reading
from tilewright.runtime.plan import SampleAxis
from tilewright.runtime.programming import Pairs, column_scale, to_pairs, write
from tilewright.runtime.tile import TileRow
from tilewright.targets.devices import statistics_of
from tilewright.targets.spec import Target


@dataclass
class Reading:
    """Which samples are being read, shared by all layers of a session: it names the noise of each read."""

    samples: Sequence[int] = field(default_factory=lambda: [0])


@dataclass(frozen=True)
class Use:
    """One place in the graph where a layer is called."""

    input_range: float
    """α: the input that drives a row with the DAC's full scale."""
    sample_axis: SampleAxis | None
    """Which dimension of the input counts samples."""

    def layout(self, sizes: Sequence[int], samples: int) -> tuple[int, int] | None:
        """How rows [before, samples, after] are ordered in an input of these leading sizes: (before, after).

        None where no dimension counts samples, or not as many.
        """
        if self.sample_axis is None or self.sample_axis.dimension >= len(sizes):
            return None
        axis = self.sample_axis.dimension
        each, left_over = divmod(sizes[axis], samples)
        if left_over:
            return None
        before, after = math.prod(sizes[:axis]), math.prod(sizes[axis + 1 :])
        return (before * each, after) if self.sample_axis.innermost else (before, each * after)


@dataclass
class SimulatedChip:
    """What all layers on one chip share."""

    target: Target
    draws: Draws
    reading: Reading = field(default_factory=Reading)
    compensate: bool = True
    """Whether drift is compensated, if the target has a way to."""

    @property
    def compensates(self) -> bool:
        """Whether drift is compensated."""
        return self.compensate and self.target.drift_compensation == "global"


class DigitalLinear(nn.Module):
    """A layer in full precision: what the compiler's stages and the digital reference run."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        """weight: [out, in]; bias: [out]."""
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.weight: Tensor
        self.bias: Tensor | None

    def forward(self, x: Tensor, use: int = 0) -> Tensor:
        """x: [..., in] -> [..., out]. The use does not matter without noise or ranges."""
        return functional.linear(x, self.weight, self.bias)


class AnalogLinear(nn.Module):
    """A layer on tiles: programmed once, drifting, read with noise. Each use has its own input range."""

    def __init__(
        self,
        name: str,
        weight: Tensor,
        bias: Tensor | None,
        uses: list[Use],
        splits: tuple[list[int], list[int]],
        chip: SimulatedChip,
        channel_scale: Tensor | None = None,
    ) -> None:
        """weight: [out, in]; bias: [out]; splits: rows of each row-block and columns of each column-block.

        channel_scale: [in]; the inputs are divided by it in digital and the weights hold it, so that channels of very
        different size use the converters alike (as SmoothQuant, Xiao et al. 2023, does for INT8).
        """
        super().__init__()
        self.name, self.uses, self.chip = name, uses, chip
        self.row_splits, self.column_splits = splits
        self.statistics = statistics_of(chip.target.device)
        self.source_weight, self.bias, self.channel_scale = weight, bias, channel_scale
        self.scales = [column_scale(self._row_part(index)) for index in range(len(self.row_splits))]
        self._program()

    def _row_part(self, index: int) -> Tensor:
        """The weights of one row-block [out, rows], with the channel scale in them."""
        part: Tensor = self.source_weight.split(self.row_splits, dim=1)[index]
        return part if self.channel_scale is None else part * self.channel_scale.split(self.row_splits)[index]

    def _pairs(self, index: int) -> Pairs:
        """The conductances that were asked for in one row-block: derived from the weights, not stored."""
        return to_pairs(self._row_part(index) / self.scales[index].unsqueeze(1), self.statistics)

    def _program(self) -> None:
        """Write all devices, and take the reference reading of the drift compensation right after."""
        self.programmed: list[Tensor] = []
        self.references: list[Tensor] = []
        for index in range(len(self.row_splits)):
            pairs = self._pairs(index)
            self.programmed.append(write(pairs, self.statistics, self.chip.draws, self.name, index))
        self.advance_to(0.0)

    def advance_to(self, seconds: float) -> None:
        """Let the devices drift to ``seconds`` after programming, and compensate."""
        self.seconds = seconds
        self.rows: list[TileRow] = []
        self.corrections: list[Tensor] = []
        for index in range(len(self.row_splits)):
            pairs = self._pairs(index)
            programmed, draws = self.programmed[index], self.chip.draws
            conductances = conductances_at(seconds, programmed, pairs, self.statistics, draws, self.name, index)
            weights = pairs.weights(conductances)
            row = TileRow(weights, self.chip.target)
            self.rows.append(row)
            self.corrections.append(self._correction(index, row, weights))

    def _correction(self, index: int, row: TileRow, weights: Tensor) -> Tensor:
        """The factor of each column at this time: reference reading over the reading now, one a tile (Joshi 2020)."""
        if not self.chip.compensates:
            return torch.ones(weights.shape[0])
        name = (self.name, index)
        reading = one_hot_reading(row, weights, self.column_splits, self.chip.draws, self.seconds, *name)
        if self.seconds == 0 and len(self.references) == index:
            self.references.append(reading)
        reference = self.references[index]
        factor = torch.where(reading > 0, reference / reading, torch.ones_like(reading))
        return factor.repeat_interleave(torch.tensor(self.column_splits))

    def forward(self, x: Tensor, use: int = 0) -> Tensor:
        """x: [..., in] -> [..., out], through DAC, tiles, ADC, per-column scale, sum over row-blocks, bias."""
        this_use = self.uses[use]
        values = x.reshape(-1, x.shape[-1])
        if self.channel_scale is not None:
            values = values / self.channel_scale
        total: Tensor | None = None
        for index, (row, part) in enumerate(zip(self.rows, values.split(self.row_splits, dim=1), strict=True)):
            normal = self._noise(x.shape[:-1], this_use, use, index) if row.is_noisy else None
            outputs = row.multiply(part, this_use.input_range, normal)
            outputs.mul_(self._digital_scale(index, this_use))
            total = outputs if total is None else total.add_(outputs)
        assert total is not None
        if self.bias is not None:
            total.add_(self.bias)
        return total.view(*x.shape[:-1], total.shape[-1])

    def _digital_scale(self, index: int, use: Use) -> Tensor:
        scale: Tensor = self.scales[index] * (use.input_range * self.corrections[index])
        return scale.bfloat16().float() if self.chip.target.tile.scale_precision == "bfloat16" else scale

    def _noise(self, sizes: Sequence[int], this_use: Use, use: int, index: int) -> Tensor:
        """Standard normal numbers [rows, columns], those of each sample named by its number."""
        samples: Sequence[int] = self.chip.reading.samples
        layout = this_use.layout(sizes, len(samples))
        if layout is None:
            samples, layout = (
                [-1],
                (1, math.prod(sizes)),
            )  # what does not depend on the batch is read once for all of it
        before, after = layout
        columns = sum(self.column_splits)
        name = (self.name, index, "read", use, self.seconds)
        normal = self.chip.draws.normal_per_sample(samples, before * after, columns, *name)
        if before > 1:
            normal = normal.reshape(len(samples), before, after, columns).transpose(0, 1)
        return normal.reshape(-1, columns)


class DigitalMatmul(nn.Module):
    """A product of two activations in full precision."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """left: [..., m, k], right: [..., k, n] -> [..., m, n]."""
        return torch.matmul(left, right)


class IntMatmul(nn.Module):
    """A product of two activations on a symmetric INT-n unit with wide accumulators (Spoon 2021, Sec. 3.2)."""

    def __init__(self, bits: int, left_range: float, right_range: float) -> None:
        """Ranges: the absolute values that the largest integer 2^(bits-1) - 1 stands for."""
        super().__init__()
        self.largest = 2 ** (bits - 1) - 1
        self.left_range, self.right_range = left_range, right_range

    def quantise(self, values: Tensor, value_range: float) -> Tensor:
        """Whole numbers within ±largest, as float32."""
        steps: Tensor = values * (self.largest / value_range)
        return steps.round_().clamp_(-self.largest, self.largest)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """left: [..., m, k], right: [..., k, n] -> [..., m, n]. Sums are exact: float32 holds integers up to 2^24."""
        left, right = self.quantise(left, self.left_range), self.quantise(right, self.right_range)
        if left.shape[-1] * self.largest**2 >= 2**24:
            left, right = left.double(), right.double()
        unit = (self.left_range / self.largest) * (self.right_range / self.largest)
        return torch.matmul(left, right).to(torch.float32).mul_(unit)
