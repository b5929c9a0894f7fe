"""From weights to conductances: scale and clip, share out over devices, write with noise, correct in closed loop."""

from tilewright.runtime.programming.cells import Cells
from tilewright.runtime.programming.coding import cells_of
from tilewright.runtime.programming.method import ProgrammedTiles, Programmer, program
from tilewright.runtime.programming.scaling import divisor, normalise, weight_scale

__all__ = ["Cells", "ProgrammedTiles", "Programmer", "cells_of", "divisor", "normalise", "program", "weight_scale"]
