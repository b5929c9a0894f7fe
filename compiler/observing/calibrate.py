"""Calibration: ranges of all layers on all targets that are open to them, and of the operands of products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from tilewright.compiler.network.layers import Options, Routed
from tilewright.compiler.network.trained_products import TrainedProduct, of_product
from tilewright.compiler.observing.input_ranges import input_ranges
from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.observe import Case
from tilewright.compiler.observing.operand_ranges import operand_ranges
from tilewright.runtime.chip.parallel import in_parallel


@dataclass(frozen=True)
class Calibrated:
    """Options and products with their ranges."""

    options: Options
    products: dict[str, Routed]
    inputs: Mapping[tuple[str, str], Tensor]
    """Inputs [vectors, inputs] that an affine compensation is fitted to, by layer and target."""


def calibrate(
    cases: Mapping[tuple[str, str], Case],
    options: Options,
    products: Mapping[str, Routed],
    operands: Mapping[str, list[Observed]],
    trained: Mapping[str, TrainedProduct],
) -> Calibrated:
    """Choose all ranges.

    cases: by layer and target, as options are; operands: left and right, by product; trained: ranges of products that
    the network was trained with.
    """
    found = in_parallel(lambda key: input_ranges(cases[key], options[key]), list(options))
    made = dict(zip(options, found, strict=True))
    return Calibrated(
        {key: option for key, (option, _) in made.items()},
        {
            name: operand_ranges(routed, operands[name], trained.get(of_product(trained, name) or ""))
            for name, routed in products.items()
        },
        {key: kept for key, (_, kept) in made.items() if kept is not None},
    )
