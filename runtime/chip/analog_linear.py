"""A layer on tiles, as a plan's graph calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from tilewright.runtime.chip.chosen_rows import read_chosen
from tilewright.runtime.chip.draws import places_of
from tilewright.runtime.chip.fixed_precision import FixedPrecision
from tilewright.runtime.chip.kernels.native import is_readable
from tilewright.runtime.chip.kernels.read import LayerRead, OwnRanges, Prepared, Read, takes
from tilewright.runtime.chip.noise import ReadNoise, silent
from tilewright.runtime.chip.nonfinite import rows_apart
from tilewright.runtime.chip.parallel import in_parallel, workers
from tilewright.runtime.chip.row_block import COMPARING, RowBlock, TileSettings
from tilewright.runtime.chip.samples import samples_read, step_read
from tilewright.runtime.chip.simulated_chip import SimulatedChip
from tilewright.runtime.chip.source_matrix import SourceMatrix
from tilewright.runtime.chip.uses import Use
from tilewright.runtime.storage.memory_map import used
from tilewright.targets.spec import Programming

IN_CACHE = 2**19
"""Outputs of a row-block that are made at once: two megabytes in float32, about what a core's cache holds."""

WORTH_A_THREAD = 2**15
"""Outputs of a row-block that are worth handing to another thread: a tenth of a millisecond's work."""


@dataclass(frozen=True)
class LayerTensors:
    """Tensors of one layer, in the model's units."""

    weight: Tensor
    """Weights [out, in]. They may be mapped from a file: they are read where they lie, never copied."""
    bias: Tensor | None = None
    """Bias [out]; None if there is none."""
    channel_scale: Tensor | None = None
    """Scale of each channel [in]: inputs are divided by it in digital and the weights hold it, so that channels of very
    different size use the converters alike (as SmoothQuant, Xiao et al. 2023, does for INT8)."""
    calibration: Tensor | None = None
    """Inputs on tiles [vectors, in], in parts of their range, to fit an affine compensation; it is global if None."""


@dataclass(frozen=True)
class TileLayout:
    """Split of a layer over tiles, and the way that it is written to them."""

    row_splits: list[int]
    """Rows of each row-block."""
    column_splits: list[int]
    """Columns of each column-block."""
    programming: Programming | None = None
    """Programming method; the target's own if None."""
    clip_deviations: float | None = None
    """Largest scale of a column or tile, in root mean squares of its weights; None if no weight is clipped."""


class AnalogLinear(FixedPrecision):
    """A layer on tiles: programmed once, drifting, read with noise. Each use has its own input range.

    All its tensors are buffers that ``.to(device)`` moves, source weights too; until then these are the plan's own.
    """

    weight: Tensor
    bias: Tensor | None
    channel_scale: Tensor | None
    calibration: Tensor | None
    row_blocks: nn.ModuleList

    def __init__(
        self,
        name: str,
        chip: SimulatedChip,
        tensors: LayerTensors,
        layout: TileLayout,
        uses: Sequence[Use],
        seconds: float = 0.0,
    ) -> None:
        """Program the layer, and let it drift to ``seconds`` after. name: it names the draws, with seed and repeat."""
        super().__init__()
        self.name, self.chip, self.layout, self.uses = name, chip, layout, uses
        self.hold("weight", tensors.weight)
        self.hold("bias", tensors.bias)
        self.hold("channel_scale", tensors.channel_scale)
        self.hold("calibration", tensors.calibration)
        self.outputs = sum(layout.column_splits)
        target, compensation = chip.target, chip.compensation
        if compensation == "affine" and tensors.calibration is None:
            compensation = "global"  # there is nothing to fit to
        settings = TileSettings(
            target,
            layout.programming or target.programming,
            layout.column_splits,
            layout.clip_deviations,
            compensation,
            chip.kept_as,
        )
        self.row_blocks = nn.ModuleList(
            RowBlock(self._part(index), settings, chip.draws, (name, index)) for index in range(len(layout.row_splits))
        )
        if compensation in COMPARING and seconds:
            self.advance_to(0.0)
        self.advance_to(seconds)

    def _part(self, index: int) -> SourceMatrix:
        """The matrix of one row-block [out, rows]."""
        splits, scale = self.layout.row_splits, self.channel_scale
        part: Tensor = used(self.weight.split(splits, dim=1)[index])
        return SourceMatrix(part, None if scale is None else scale.split(splits)[index])

    def advance_to(self, seconds: float) -> None:
        """Let the devices drift to ``seconds`` after programming, and compensate."""
        self.seconds, self._reads = seconds, Prepared()
        parts = self.calibration.split(self.layout.row_splits, dim=1) if self.calibration is not None else None
        for index, block in enumerate(self._blocks):
            block.advance_to(seconds, self._part(index), None if parts is None else parts[index])
        self._is_compiled = all(takes(block.tiles) for block in self._blocks)

    def at(self, seconds: float) -> Self:
        """Another layer over the same programmed devices, at another time; this one stays where it is.

        Devices and source weights are shared. What tiles are read with is held anew, three bytes a weight, unless the
        time is this layer's own.
        """
        other = self.twin()
        other.row_blocks = nn.ModuleList(block.twin() for block in self._blocks)
        if seconds != self.seconds:
            other.advance_to(seconds)
        return other

    def _prepared(self, use: int) -> Read:
        """The read at a place in the graph by the compiled library, prepared once until devices drift or move."""
        if use not in self._reads:
            blocks, input_range, tile = self._blocks, self.uses[use].input_range, self.chip.target.tile
            reads = [block.compiled(input_range, use, self.seconds) for block in blocks]
            steps = blocks[0].tiles.steps_per_unit(input_range)
            read = self._reads[use] = LayerRead(reads, steps, self.channel_scale, self.bias)
            if tile.doublings is not None:
                keys = [block.keys_of_readings(use, self.seconds) for block in blocks]
                own = OwnRanges(tile, keys, input_range)
                self._reads[use] = partial(read.with_own_ranges, own=own)
        return self._reads[use]

    def _reads_compiled(self, values: Tensor) -> bool:
        """True if the compiled library reads these inputs: on the processor, as the layer's own tensors are."""
        return self._is_compiled and is_readable(values) and self.weight.device == values.device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._reads = Prepared()
        return super()._apply(fn, recurse)

    @property
    def _blocks(self) -> list[RowBlock]:
        return list(self.row_blocks)  # type: ignore[arg-type]

    def held_weights(self) -> Tensor:
        """Weights that the tiles hold now [out, in], in the model's units, drift compensated."""
        blocks = enumerate(self._blocks)
        parts = [block.held_weights(self.seconds, self._part(index)) for index, block in blocks]
        held: Tensor = torch.cat(parts, dim=1)
        return held if self.channel_scale is None else held.div_(self.channel_scale)

    def forward(self, x: Tensor, use: int = 0, chosen: Tensor | None = None) -> Tensor:
        """Outputs [..., out] of inputs x [..., in]: DAC, tiles, ADC, per-column scale, sum over row-blocks, bias.

        Samples are read side by side, few at once, so that what is made of them on the way stays in the cache. chosen:
        vectors [...] that are read, all if None; see ``read_chosen``. Their noise is that of a read of all.
        """
        values = x.reshape(-1, x.shape[-1])
        samples = samples_read()
        layout = self.uses[use].layout(x.shape[:-1], len(samples))
        if layout is None:  # what does not depend on the batch is read once for all of it
            samples, layout = [-1], (1, len(values))
        if chosen is not None:
            places = places_of(samples, *layout, step_read())
            return read_chosen(
                x, chosen, self.outputs, lambda values, rows: self._read(values, use, places[rows.cpu()])
            )
        groups = [range(len(samples))] if self._reads_compiled(values) else self._groups(len(samples), layout)
        if len(groups) == 1:
            outputs = self._read(values, use, places_of(samples, *layout, step_read()))
        else:
            outputs = values.new_empty(len(values), self.outputs)
            _, after = layout

            def read(group: range) -> None:
                rows = slice(group.start * after, group.stop * after)
                some = places_of(samples[group.start : group.stop], *layout, step_read())
                outputs[rows] = self._read(values[rows], use, some)

            for _ in in_parallel(read, groups):
                pass
        return outputs.view(*x.shape[:-1], outputs.shape[-1])

    def _groups(self, samples: int, layout: tuple[int, int]) -> list[range]:
        """Numbers of samples that are read at once; all where their rows do not lie together."""
        before, after = layout
        if before != 1:
            return [range(samples)]
        outputs = max(1, after * self.outputs)
        size = max(1, -(-WORTH_A_THREAD // outputs), min(IN_CACHE // outputs, -(-samples // workers())))
        return [range(first, min(first + size, samples)) for first in range(0, samples, size)] or [range(0)]

    def _read(self, values: Tensor, use: int, places: Tensor) -> Tensor:
        """Outputs [M, out] of inputs [M, in] at these places; those with a NaN or infinity have the model's product."""
        return rows_apart(values, partial(self._read_tiles, use, places), self._exact)

    def _exact(self, values: Tensor) -> Tensor:
        return functional.linear(values, used(self.weight), self.bias)

    def _read_tiles(self, use: int, places: Tensor, values: Tensor) -> Tensor:
        """Outputs [M, out] of the tiles for finite inputs [M, in]. places: [M, 3], which name the noise of each."""
        input_range, blocks = self.uses[use].input_range, self._blocks
        if self._reads_compiled(values):
            return self._prepared(use)(values, places)
        if self.channel_scale is not None:
            values = values / self.channel_scale
        parts = values.split(self.layout.row_splits, dim=1)

        def read(index: int) -> Tensor:
            block = blocks[index]
            noise = ReadNoise(self.chip.draws, block.name, use, self.seconds, places, self.outputs)
            return block.read(parts[index], input_range, noise if block.tiles.is_noisy else silent)

        worth_it = len(values) * self.outputs >= WORTH_A_THREAD
        total: Tensor | None = None
        for outputs in (in_parallel if worth_it else map)(read, range(len(parts))):
            total = outputs if total is None else total.add_(outputs)
        assert total is not None
        if self.bias is not None:
            total.add_(self.bias)
        return total
