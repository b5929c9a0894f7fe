"""Programming of weights: scale and clip, share out over devices, write with noise, correct in closed loop."""

from tilewright.runtime.chip.programming.cells import Cells
from tilewright.runtime.chip.programming.coding import cells_of
from tilewright.runtime.chip.programming.method import ProgrammedTiles, Programmer, program
from tilewright.runtime.chip.programming.scaling import divisor, normalise, scale_of, weight_scale

__all__ = [
    "Cells",
    "ProgrammedTiles",
    "Programmer",
    "cells_of",
    "divisor",
    "normalise",
    "program",
    "scale_of",
    "weight_scale",
]
