"""Arithmetics of tiles: several implementations of the products that their one law is made of."""

from tilewright.runtime.chip.arithmetic.arithmetic import Arithmetic, Drive, Magnitudes, Matrix
from tilewright.runtime.chip.arithmetic.exact import EXACT
from tilewright.runtime.chip.arithmetic.floats import FLOATS
from tilewright.targets.spec import Tile

__all__ = ["EXACT", "FLOATS", "Arithmetic", "Drive", "Magnitudes", "Matrix", "arithmetic_of"]


def arithmetic_of(tile: Tile) -> Arithmetic:
    """The tile's usual arithmetic: exact where a DAC makes whole numbers of the inputs, floats where there is none."""
    return FLOATS if tile.dac is None else EXACT
