"""Kernels alone, on one thread: a read over a float32 product of the same shape; nanoseconds of what a chip is made of.

python benchmarks/kernels.py            # with numba installed, its product of whole numbers too
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from timing import compared, interleaved
from torch.nn.functional import linear

import tilewright
from tilewright.runtime.chip.analog_linear import AnalogLinear, LayerTensors, TileLayout
from tilewright.runtime.chip.draws import Draws, places_of
from tilewright.runtime.chip.samples import reading
from tilewright.runtime.chip.simulated_chip import SimulatedChip
from tilewright.runtime.chip.uses import SAMPLES_FIRST, Use
from tilewright.targets.loading import load_target
from tilewright.targets.spec import AnalogTarget

SHAPES = ((1, 128, 384, 1536), (1, 128, 1536, 384), (8, 128, 768, 768), (8, 128, 768, 3072), (8, 128, 3072, 768))
"""Samples, rows of each, inputs, outputs: of MiniLM's and BERT-base's layers."""


def splits(size: int, most: int) -> list[int]:
    """Parts of a layer, as a compiler would split it evenly."""
    count = -(-size // most)
    return [size // count] * count


def layer(inputs: int, outputs: int) -> AnalogLinear:
    """A layer of random weights on pcm-512, programmed."""
    target = load_target("pcm-512")
    assert isinstance(target, AnalogTarget)
    weight = torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(0)) * 0.1
    layout = TileLayout(splits(inputs, 512), splits(outputs, 512))
    return AnalogLinear(
        "layer", SimulatedChip(target, Draws(0, 0)), LayerTensors(weight), layout, [Use(3.0, SAMPLES_FIRST)]
    )


def reads(runs: int) -> dict[str, Any]:
    """A read with all noise over a float32 product, by shape."""
    found = {}
    for samples, rows, inputs, outputs in SHAPES:
        tiles, x = layer(inputs, outputs), torch.randn(samples, rows, inputs)
        calls: dict[str, Callable[[], Any]] = {"float32": partial(linear, x, tiles.weight), "read": partial(tiles, x)}
        with reading(range(samples)):
            times = compared(interleaved(calls, runs), "float32")
        found[f"{samples} x {rows} x {inputs} x {outputs}"] = {
            name: one["minimum_s"] for name, one in times.items()
        } | {"ratio": times["read"]["ratio"]}
    return found


def parts(runs: int) -> dict[str, float]:
    """Nanoseconds of one random number, and of one weight that is programmed or advanced."""
    tiles, places = layer(3072, 768), places_of([0], 1, 1000)
    calls: dict[str, Callable[[], Any]] = {
        "coarse normal number": lambda: Draws(0, 0).read_noise(places, 1000, "x"),
        "fine normal number": lambda: Draws(0, 0).normal((1000, 1000), "x"),
        "normal number of torch": lambda: torch.empty(1000, 1000).normal_(),
        "programming and time 0, a weight": lambda: layer(3072, 768),
        "advancing, a weight": lambda: tiles.advance_to(86400.0),
    }
    counts = dict.fromkeys(calls, 1e6) | {name: 3072 * 768 for name in calls if name.endswith("a weight")}
    return {name: min(times) / counts[name] * 1e9 for name, times in interleaved(calls, runs).items()}


def numba_product(runs: int) -> Any:
    """A product of int16 numbers by numba's vectoriser over a float32 product; None without numba."""
    try:
        import numba  # type: ignore[import-not-found]
    except ImportError:
        return None
    import numpy

    @numba.njit  # type: ignore[untyped-decorator]
    def product(levels: Any, weights: Any, out: Any) -> None:
        for row in range(levels.shape[0]):
            for column in range(weights.shape[0]):
                total = numpy.int32(0)
                for k in range(levels.shape[1]):
                    pair = numpy.int32(levels[row, k]) * numpy.int32(weights[column, k])
                    total = numpy.int32(total + numpy.int32(pair))
                out[row, column] = total

    levels, weights = torch.randint(-127, 128, (128, 384)), torch.randint(-8192, 8193, (1536, 384))
    arrays = [levels.short().numpy(), weights.short().numpy(), numpy.zeros((128, 1536), numpy.int32)]
    calls: dict[str, Callable[[], Any]] = {
        "float32": partial(linear, levels.float(), weights.float()), "numba": partial(product, *arrays),
    }  # fmt: skip
    return compared(interleaved(calls, runs), "float32")["numba"]["ratio"]


def main() -> None:
    """Measure and print as JSON."""
    torch.set_num_threads(1)
    found = {"on": repr(tilewright.doctor().kernels), "reads": reads(15), "ns": parts(7), "numba": numba_product(7)}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
