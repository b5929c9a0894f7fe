"""Layers on simulated tiles for tests."""

from tilewright.runtime.chip.analog_linear import AnalogLinear, LayerTensors, TileLayout
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.samples import reading
from tilewright.runtime.chip.simulated_chip import SimulatedChip
from tilewright.runtime.chip.uses import SAMPLES_FIRST, Use


def layer_on_tiles(
    weight, target, *, splits=None, uses=(Use(1.0, SAMPLES_FIRST),), repeat=0, compensate=True, method=None, clip=None,
    seconds=0.0, **tensors,
):  # fmt: skip
    """A layer on chip ``repeat``; on one tile without ``splits``, (rows, columns). tensors: bias, channel_scale, ..."""
    rows, columns = splits or ([weight.shape[1]], [weight.shape[0]])
    layout = TileLayout(rows, columns, method, clip)
    chip = SimulatedChip(target, Draws(0, repeat), compensate)
    return AnalogLinear("layer", chip, LayerTensors(weight, **tensors), layout, list(uses), seconds)


def read(layer, x, samples, use=0):
    """The layer's outputs in a run of these samples."""
    with reading(samples):
        return layer(x, use)
