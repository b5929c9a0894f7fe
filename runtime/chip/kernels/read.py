"""The read of a layer, or of one row-block, in the compiled library: the bits of ``tile.py`` and ``row_block.py``."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.chip.arithmetic.exact import GridMatrix, StepMagnitudes, square_bits
from tilewright.runtime.chip.converters import bend_strength
from tilewright.runtime.chip.kernels.native import address, loaded, pointer
from tilewright.runtime.chip.kernels.products import COLUMN_STEP, ROW_STEP, padded
from tilewright.runtime.chip.parallel import in_parallel, workers
from tilewright.runtime.chip.tile import TileRow
from tilewright.targets.spec import Tile

WORTH_A_THREAD = 2**22
"""Products that are worth handing to another thread: a tenth of a millisecond's work."""

SILENT, FOLLOWS_WEIGHTS, SAME_FOR_ALL = range(3)
"""Laws of the read noise, as interface.h has them."""


class _RowBlock(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weights", "magnitudes", "by_place", "drawing", "dac_currents")),
        *((name, ctypes.c_void_p) for name in ("adc_offsets", "factor", "shift")),
        ("key", ctypes.c_uint64),
        ("rows", ctypes.c_int32),
        ("packed_rows", ctypes.c_int32),
        *((name, ctypes.c_float) for name in ("weight_unit", "variance_unit", "by_place_unit", "drawing_unit")),
        ("wire_ratio", ctypes.c_float),
    ]


class _OwnRanges(ctypes.Structure):
    _fields_ = [
        ("keys", ctypes.c_void_p),
        ("doublings", ctypes.c_int32),
        *((name, ctypes.c_float) for name in ("dac_step", "saturation", "input_range")),
    ]


class _Layer(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("blocks", "channel_scale", "bias")),
        *((name, ctypes.c_int32) for name in ("block_count", "columns", "dac_levels", "square_bits", "adc_levels")),
        *((name, ctypes.c_float) for name in ("adc_step", "adc_steps_per_unit", "adc_bend", "output_variance")),
        ("noise", ctypes.c_int32),
    ]


@dataclass(frozen=True)
class BlockRead:
    """One row-block in a read: its tiles, and what is made of their outputs."""

    tiles: TileRow
    factor: Tensor
    """Factor of what the ADCs read [columns]."""
    shift: Tensor | None
    """Constant that is added then [columns], or None."""
    key: int | None
    """Key of the noise; None for a read without noise."""


def takes(tiles: TileRow) -> bool:
    """True if the library can read these tiles: straight DACs of up to 8 bits, weights that are held for it."""
    dac, weights = tiles.tile.dac, tiles.weights
    straight = dac is not None and dac.levels <= 127 and not dac.nonlinearity
    return bool(straight) and isinstance(weights, GridMatrix) and weights.packed


class LayerRead:
    """A layer's read as the library is asked for it: the same for all inputs at one place in the graph, at one time.

    It holds addresses of the layer's tensors, which must not move or go meanwhile.
    """

    def __init__(
        self,
        blocks: Sequence[BlockRead],
        steps_per_unit: float = 0.0,
        channel_scale: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        """Prepare the read of row-blocks side by side, whose outputs are summed.

        steps_per_unit: steps of the DAC in a unit of the input, where all have one range. channel_scale: divisor
        of each input [rows of all blocks]. bias: added at the end [columns].
        """
        tile, self.columns = blocks[0].tiles.tile, len(blocks[0].factor)
        assert tile.dac is not None
        self._kept: list[ctypes.Array[ctypes.c_float]] = []  # what is made for the read; all else is the layer's own
        self._records = (_RowBlock * len(blocks))(*(self._record(block) for block in blocks))
        self._steps = ctypes.c_float(steps_per_unit)
        noise = SILENT
        if blocks[0].key is not None:
            noise = FOLLOWS_WEIGHTS if blocks[0].tiles.noise_follows_weights else SAME_FOR_ALL
        divisor = None if channel_scale is None else self._copied(channel_scale)
        self._layer = _Layer(
            ctypes.addressof(self._records), divisor, self._wide(bias), len(blocks), self.columns,
            tile.dac.levels, square_bits(tile.dac.levels), noise=noise, output_variance=blocks[0].tiles.output_variance,
        )  # fmt: skip
        if tile.adc is not None:
            self._layer.adc_levels, self._layer.adc_step = tile.adc.levels, tile.adc.step
            self._layer.adc_steps_per_unit, self._layer.adc_bend = 1.0 / tile.adc.step, bend_strength(tile.adc)

    def __call__(self, values: Tensor, places: Tensor) -> Tensor:
        """Outputs [M, columns] for inputs [M, rows of all blocks], in float32. places: of the rows' noise [M, 3]."""
        values, places = values.contiguous(), places.contiguous()
        outputs = torch.empty(len(values), self.columns)
        parts = _parts(len(values), self.columns, values.shape[1])
        for _ in in_parallel(partial(self._read, values, places, outputs), parts, caller_helps=True):
            pass
        return outputs

    def with_own_ranges(self, values: Tensor, places: Tensor, own: OwnRanges) -> Tensor:
        """Outputs [M, columns] for inputs [M, rows of all blocks], each of a row-block with a range of its own."""
        values, places = values.contiguous(), places.contiguous()
        outputs = torch.empty(len(values), self.columns)

        def read(rows: range) -> None:
            native = loaded()
            assert native is not None
            failed = native.library.tw_read_own_ranges(
                native.set, ctypes.byref(self._layer), ctypes.byref(own.record), pointer(values),
                ctypes.c_size_t(values.shape[1]), pointer(places), rows.start, rows.stop, pointer(outputs),
            )  # fmt: skip
            if failed:
                raise MemoryError("no memory to read a layer")

        size = -(-len(values) // _threads(len(values), self.columns, values.shape[1]))
        parts = [range(first, min(first + size, len(values))) for first in range(0, len(values), size)]
        for _ in in_parallel(read, parts, caller_helps=True):
            pass
        return outputs

    def _read(self, values: Tensor, places: Tensor, outputs: Tensor, part: tuple[range, range]) -> None:
        native, (rows, columns) = loaded(), part
        assert native is not None
        failed = native.library.tw_read(
            native.set, ctypes.byref(self._layer), pointer(values), ctypes.c_size_t(values.shape[1]), self._steps,
            pointer(places), rows.start, rows.stop, columns.start, columns.stop, pointer(outputs),
        )  # fmt: skip
        if failed:
            raise MemoryError("no memory to read a layer")

    def _record(self, block: BlockRead) -> _RowBlock:
        """One row-block as the library reads it."""
        tiles = block.tiles
        weights, magnitudes, dac = tiles.weights, tiles.magnitudes, tiles.tile.dac
        assert isinstance(weights, GridMatrix)
        assert dac is not None
        record = _RowBlock(
            weights=address(weights.held), rows=weights.rows, packed_rows=padded(weights.rows, ROW_STEP),
            key=block.key or 0, weight_unit=dac.step * weights.unit, dac_currents=self._wide(tiles.dac_offset_currents),
            adc_offsets=self._wide(tiles.adc_offset), factor=self._wide(block.factor), shift=self._wide(block.shift),
        )  # fmt: skip
        power = (tiles.tile.short_term_read_noise * dac.step) ** 2
        if isinstance(magnitudes, StepMagnitudes):
            record.magnitudes = address(magnitudes.held)
            record.variance_unit = power * magnitudes.unit * 2.0 ** square_bits(dac.levels)
        else:
            record.variance_unit = power * tiles.significance_power
        if isinstance(tiles.drawing, StepMagnitudes) and isinstance(tiles.by_place, GridMatrix):
            record.drawing, record.drawing_unit = address(tiles.drawing.held), dac.step * tiles.drawing.unit
            record.by_place, record.by_place_unit = address(tiles.by_place.held), dac.step * tiles.by_place.unit
            record.wire_ratio = tiles.wire_ratio * weights.rows
        return record

    def _wide(self, numbers: Tensor | None) -> int | None:
        """Address of numbers of columns, with zeros beyond the last."""
        if numbers is None:
            return None
        return self._copied(functional.pad(numbers.reshape(-1), (0, padded(self.columns, COLUMN_STEP) - self.columns)))

    def _copied(self, numbers: Tensor) -> int:
        """Address of a copy of these numbers in float32, which lives as long as the read."""
        self._kept.append(
            (ctypes.c_float * len(numbers)).from_buffer_copy(numbers.float().contiguous().numpy().tobytes())
        )
        return ctypes.addressof(self._kept[-1])


class OwnRanges:
    """Record for the library of a read in which each vector has a range of its own."""

    def __init__(self, tile: Tile, keys: Sequence[Sequence[int]], input_range: float) -> None:
        """Take a tile with doublings. keys: of the noise of each reading of each row-block, ranges undoubled first.

        input_range: that outputs are in parts of.
        """
        assert tile.dac is not None
        flat = [key for block in keys for key in block]
        self._keys = (ctypes.c_uint64 * len(flat))(*flat)
        saturation = 0.0 if tile.adc is None else tile.adc.bound - tile.adc.step / 2
        self.record = _OwnRanges(
            ctypes.addressof(self._keys), len(keys[0]) - 1, tile.dac.step, saturation, input_range
        )  # fmt: skip


Read = Callable[[Tensor, Tensor], Tensor]
"""Outputs [M, columns] of a layer for inputs [M, rows]; the second argument names their noise [M, 3]."""


class Prepared(dict[int, Read]):
    """Reads that were prepared, by the place in the graph; a copy or pickle of them is empty: they hold addresses."""

    def __deepcopy__(self, _memo: object) -> Prepared:
        return Prepared()

    def __reduce__(self) -> tuple[type[Prepared], tuple[()]]:
        return Prepared, ()


def _parts(rows: int, columns: int, inputs: int) -> list[tuple[range, range]]:
    """Parts of the outputs that threads make side by side: of the rows, or of the columns where rows are few."""
    wide = padded(columns, COLUMN_STEP)
    count = _threads(rows, columns, inputs)
    if rows >= 4 * count:
        size = padded(-(-rows // count), 4)
        return [(range(first, min(first + size, rows)), range(wide)) for first in range(0, rows, size)]
    size = padded(-(-wide // count), COLUMN_STEP)
    return [(range(rows), range(first, min(first + size, wide))) for first in range(0, wide, size)]


def _threads(rows: int, columns: int, inputs: int) -> int:
    return min(workers(), max(1, rows * columns * inputs // WORTH_A_THREAD))
