"""The standard MVM error over time, against a table that two independent calculations agree on."""

from typing import Any

import pytest
import torch

from tests.on_tiles import layer_on_tiles
from tests.variants import variant
from tilewright.runtime.measuring.characterize import standard_problem

TIMES = {"1s": 1.0, "1h": 3600.0, "1d": 86400.0, "1mo": 2592000.0, "1y": 31536000.0}
EIGHT_BITS = {"tile__adc__bits": 8, "tile__output_noise": {"value": 0.04, "unit": "1", "source": "Rasch 2023"}}
TABLE: dict[str, tuple[dict[str, Any], list[float]]] = {
    "8-bit ADC": (EIGHT_BITS, [0.134, 0.153, 0.173, 0.201, 0.223]),
    "10-bit ADC": ({}, [0.134, 0.152, 0.173, 0.200, 0.221]),
    "10-bit, reduced noise": (
        {"device__programming__scale": 0.5, "device__accumulated_noise__scale": 0.5},
        [0.074, 0.096, 0.122, 0.153, 0.179],
    ),
    "8-bit, no compensation": (
        {**EIGHT_BITS, "drift_compensation": "none"},
        [0.134, 0.255, 0.356, 0.452, 0.514],
    ),
    "10-bit, noisy inactive device": (
        {"device__inactive_device": "programmed"},
        [0.140, 0.156, 0.175, 0.200, 0.222],
    ),
}
REPEATS = 3


def mvm_error(outputs, exact):
    return ((outputs - exact).norm() / exact.norm()).item()


@pytest.mark.parametrize("column", TABLE)
def test_the_standard_table_is_met_within_one_hundredth(column):
    changes, expected = TABLE[column]
    weight, inputs = standard_problem(512, 512, 1024)
    exact = inputs @ weight.T
    chips = [layer_on_tiles(weight, variant(**changes), repeat=repeat) for repeat in range(REPEATS)]
    for seconds, published in zip(TIMES.values(), expected, strict=True):
        errors = []
        for chip in chips:
            chip.advance_to(seconds)
            errors.append(mvm_error(chip(inputs), exact))
        # 262,144 devices a chip: the standard deviation over chips is below .001
        assert sum(errors) / REPEATS == pytest.approx(published, abs=0.01), f"{column} at {seconds} s"


def test_one_week_lies_between_its_neighbours():
    weight, inputs = standard_problem(512, 512, 1024)
    chip = layer_on_tiles(weight, variant())
    chip.advance_to(604800.0)
    assert mvm_error(chip(inputs), inputs @ weight.T) == pytest.approx(0.188, abs=0.01)


def test_clipping_alone_costs_what_the_model_says():
    """N(0,1) weights scaled to their column's maximum: the ADC's ±10 clips 1.6 % of outputs, an error of .057."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(512, 512, generator=generator)
    inputs = torch.rand(1024, 512, generator=generator) * 2 - 1
    quiet = variant(device={"statistics": "ideal"}, tile__output_noise=0, tile__short_term_read_noise=0)
    outputs = layer_on_tiles(weight, quiet)(inputs)
    exact = inputs @ weight.T
    scaled = exact / weight.abs().amax(dim=1)
    assert (scaled.abs() > 10).double().mean().item() == pytest.approx(0.016, abs=0.003)
    assert mvm_error(outputs, exact) == pytest.approx(0.057, abs=0.004)


def test_per_column_scale_beats_per_tile():
    """Columns of different size: means of four chips, three standard errors apart on both sides."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(128, 256, generator=generator) * torch.exp(0.5 * torch.randn(128, 1, generator=generator))
    inputs = torch.rand(256, 256, generator=generator) * 2 - 1
    found = {}
    for rule in ("per_column", "per_tile"):
        chips = [layer_on_tiles(weight, variant(tile__weight_scale=rule), repeat=repeat) for repeat in range(4)]
        found[rule] = torch.tensor([mvm_error(chip(inputs), inputs @ weight.T) for chip in chips])
    column, tile = found["per_column"], found["per_tile"]
    assert column.mean() + 3 * column.std() / 2 < tile.mean() - 3 * tile.std() / 2
