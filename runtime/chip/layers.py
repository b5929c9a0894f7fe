"""Layers as a plan's graph calls them: on tiles, or in full precision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.nonfinite import rows_apart
from tilewright.runtime.chip.parallel import in_parallel, workers
from tilewright.runtime.chip.row_block import RowBlock, TileSettings
from tilewright.runtime.plan.records import SampleAxis
from tilewright.runtime.storage.memory_map import used
from tilewright.targets.spec import AnalogTarget, Programming

IN_CACHE = 2**19
"""Outputs of a row-block that are made at once: two megabytes in float32, about what a core's cache holds."""

WORTH_A_THREAD = 2**15
"""Outputs of a row-block that are worth handing to another thread: a tenth of a millisecond's work."""


_run: ContextVar[tuple[Reading, Sequence[int]] | None] = ContextVar("run", default=None)
"""The innermost run of this context, and its samples."""


class Reading:
    """Samples that are being read: their numbers name the noise of each read. All layers of a session share it.

    Each run has its own samples, also where several threads run one session at once.
    """

    def __init__(self, samples: Sequence[int] = (0,)) -> None:
        """samples: those of reads outside of any run."""
        self._outside = samples

    @property
    def samples(self) -> Sequence[int]:
        """Numbers of the samples that this context reads."""
        run = _run.get()
        return self._outside if run is None or run[0] is not self else run[1]

    @samples.setter
    def samples(self, samples: Sequence[int]) -> None:
        self._outside = samples

    @contextmanager
    def of(self, samples: Sequence[int]) -> Iterator[None]:
        """While it runs, this context reads these samples."""
        token = _run.set((self, samples))
        try:
            yield
        finally:
            _run.reset(token)


@dataclass(frozen=True)
class Use:
    """One place in the graph where a layer is called."""

    input_range: float
    """α: the input that drives a row with the DAC's full scale; 1 where each vector has a range of its own."""
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
    """What all layers of one target on one chip share."""

    target: AnalogTarget
    draws: Draws
    reading: Reading = field(default_factory=Reading)
    compensate: bool = True
    """Whether drift is compensated, if the target has a way to."""
    kept_as: torch.dtype = torch.float32
    """What programmed conductances are kept in."""

    @property
    def compensation(self) -> str:
        """How drift is compensated."""
        return self.target.drift_compensation if self.compensate else "none"


def _scaled(weight: Tensor, channel_scale: Tensor | None) -> Tensor:
    """The weights on one row-block [out, rows], with the channel scale in them."""
    return used(weight) if channel_scale is None else used(weight) * channel_scale


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
        return functional.linear(x, used(self.weight), self.bias)


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
        *,
        programming: Programming | None = None,
        clip_deviations: float | None = None,
        calibration: Tensor | None = None,
    ) -> None:
        """weight: [out, in]; bias: [out]; splits: rows of each row-block and columns of each column-block.

        channel_scale: [in]; the inputs are divided by it in digital and the weights hold it, so that channels of very
        different size use the converters alike (as SmoothQuant, Xiao et al. 2023, does for INT8). programming: the
        target's own method if None. clip_deviations: see ``weight_scale``. calibration: [vectors, in], inputs on tiles
        in parts of their range, for a target with affine compensation, which is global without.
        """
        super().__init__()
        self.name, self.uses, self.chip = name, uses, chip
        self.row_splits, self.column_splits = splits
        self.weight, self.bias, self.channel_scale = weight, bias, channel_scale
        self.calibration = calibration
        target, compensation = chip.target, chip.compensation
        if compensation == "affine" and calibration is None:
            compensation = "global"  # there is nothing to fit to
        settings = TileSettings(
            target, programming or target.programming, self.column_splits, clip_deviations, compensation, chip.kept_as
        )
        parts = weight.split(self.row_splits, dim=1)
        scales = [None] * len(parts) if channel_scale is None else channel_scale.split(self.row_splits)
        self.row_blocks = [
            RowBlock(partial(_scaled, part, scale), settings, chip.draws, (name, index))
            for index, (part, scale) in enumerate(zip(parts, scales, strict=True))
        ]
        self.advance_to(0.0)

    def advance_to(self, seconds: float) -> None:
        """Let the devices drift to ``seconds`` after programming, and compensate."""
        self.seconds = seconds
        parts = self.calibration.split(self.row_splits, dim=1) if self.calibration is not None else None
        for index, block in enumerate(self.row_blocks):
            block.advance_to(seconds, None if parts is None else parts[index])

    def held_weights(self) -> Tensor:
        """What the tiles hold of the layer now [out, in], in the model's units, drift compensated."""
        held: Tensor = torch.cat([block.held_weights(self.seconds) for block in self.row_blocks], dim=1)
        return held if self.channel_scale is None else held.div_(self.channel_scale)

    def forward(self, x: Tensor, use: int = 0) -> Tensor:
        """x: [..., in] -> [..., out], through DAC, tiles, ADC, per-column scale, sum over row-blocks, bias.

        Samples are read side by side, few at once, so that what is made of them on the way stays in the cache.
        """
        values = x.reshape(-1, x.shape[-1])
        samples: Sequence[int] = self.chip.reading.samples
        layout = self.uses[use].layout(x.shape[:-1], len(samples))
        if layout is None:  # what does not depend on the batch is read once for all of it
            samples, layout = [-1], (1, len(values))
        groups = self._groups(len(samples), layout)
        if len(groups) == 1:
            outputs = self._read(values, use, samples, layout)
        else:
            outputs = values.new_empty(len(values), sum(self.column_splits))
            _, after = layout

            def read(group: range) -> None:
                rows = slice(group.start * after, group.stop * after)
                outputs[rows] = self._read(values[rows], use, samples[group.start : group.stop], layout)

            for _ in in_parallel(read, groups):
                pass
        return outputs.view(*x.shape[:-1], outputs.shape[-1])

    def _groups(self, samples: int, layout: tuple[int, int]) -> list[range]:
        """Numbers of samples that are read at once; all where their rows do not lie together."""
        before, after = layout
        if before != 1:
            return [range(samples)]
        outputs = max(1, after * sum(self.column_splits))
        size = max(1, -(-WORTH_A_THREAD // outputs), min(IN_CACHE // outputs, -(-samples // workers())))
        return [range(first, min(first + size, samples)) for first in range(0, samples, size)] or [range(0)]

    def _read(self, values: Tensor, use: int, samples: Sequence[int], layout: tuple[int, int]) -> Tensor:
        """values: [M, in] of these samples -> [M, out]. Vectors with a NaN or infinity have the model's product."""
        return rows_apart(values, partial(self._read_tiles, use, samples, layout), self._exact)

    def _exact(self, values: Tensor) -> Tensor:
        return functional.linear(values, used(self.weight), self.bias)

    def _read_tiles(self, use: int, samples: Sequence[int], layout: tuple[int, int], values: Tensor) -> Tensor:
        """values: [M, in] of these samples, finite -> [M, out]."""
        input_range = self.uses[use].input_range
        if self.channel_scale is not None:
            values = values / self.channel_scale
        parts = values.split(self.row_splits, dim=1)

        def read(index: int) -> Tensor:
            noise = partial(self._noise, use, index, samples, layout)
            return self.row_blocks[index].read(parts[index], input_range, noise)

        worth_it = len(values) * sum(self.column_splits) >= WORTH_A_THREAD
        total: Tensor | None = None
        for outputs in (in_parallel if worth_it else map)(read, range(len(parts))):
            total = outputs if total is None else total.add_(outputs)
        assert total is not None
        if self.bias is not None:
            total.add_(self.bias)
        return total

    def _noise(
        self, use: int, index: int, samples: Sequence[int], layout: tuple[int, int], reading: int
    ) -> Tensor | None:
        """Standard normal numbers [rows, columns], those of each sample named by its number."""
        if not self.row_blocks[index].tiles.is_noisy:
            return None
        before, after = layout
        columns = sum(self.column_splits)
        name = (self.name, index, "read" if reading == 0 else f"read again {reading}", use, self.seconds)
        normal = self.chip.draws.normal_per_sample(samples, before * after, columns, *name)
        if before > 1:
            normal = normal.reshape(len(samples), before, after, columns).transpose(0, 1)
        return normal.reshape(-1, columns)
