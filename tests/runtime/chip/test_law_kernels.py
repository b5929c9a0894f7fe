"""Kernels write devices of every coding, and let them drift, to the bits of the laws in torch."""

from dataclasses import replace

import pytest
import torch

from tests.kernel_sets import forced, sets
from tests.narrowing import analog
from tests.variants import method_variant, variant
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.drift import conductances_at
from tilewright.runtime.chip.kernels import laws, native
from tilewright.runtime.chip.programming import cells_of
from tilewright.runtime.chip.programming.cells import Cells
from tilewright.runtime.chip.programming.writing import write
from tilewright.targets.devices import DeviceStatistics, statistics_of
from tilewright.targets.loading import target_names

pytestmark = pytest.mark.skipif(native.kernels().name == native.TORCH, reason=native.kernels().why)
DRAWS = Draws(3, 1)
TARGETS = [analog(name) for name in target_names("analog")]
METHODS = {"direct": 1, "pairs-2": 2, "most-least": 2, "binary-analog-3": 4, "pairs-4": 4}
"""Ways to program, with the pairs of each."""


def cells(columns: int, rows: int, method: str = "direct", *, both: bool = False, stuck: bool = False) -> Cells:
    generator = torch.Generator().manual_seed(rows)
    weights = torch.rand(columns, rows, generator=generator) * 2 - 1
    weights[columns // 2] = 0
    made = cells_of(weights, method_variant(method), both)
    if not stuck:
        return made
    is_stuck = torch.rand(made.wanted.shape, generator=generator) < 0.1
    return replace(made, stuck=is_stuck, stuck_at=(torch.rand(is_stuck.shape, generator=generator) < 0.5).float())


def assert_same(statistics: DeviceStatistics, devices: Cells) -> None:
    """Assert that all sets of kernels make the same bits, with NaN in memory that is not written before it is read."""

    def made() -> list[torch.Tensor]:
        torch.use_deterministic_algorithms(True)
        try:
            written = write(devices, statistics, DRAWS, "layer", 0)
            times = (0.0, 1.0, 2.6e6)
            return [
                written,
                *(conductances_at(time, written, devices, statistics, DRAWS, "layer", 0) for time in times),
            ]
        finally:
            torch.use_deterministic_algorithms(False)

    with forced(native.TORCH):
        assert not laws.takes(statistics, devices.wanted)
        expected = made()
    for name in sets():
        with forced(name):
            assert laws.takes(statistics, devices.wanted)
            for one, other in zip(made(), expected, strict=True):
                assert torch.equal(one, other), name


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_device_and_coding(target, method, both):
    devices = cells(5, 37, method, both=both)
    assert len(devices.wanted) == METHODS[method] * (2 if both else 1)
    assert_same(statistics_of(target.device), devices)


@pytest.mark.parametrize(
    ("columns", "rows"), [(1, 1), (3, 31), (3, 32), (3, 33), (2, 64), (2, 65), (2, 1024), (2, 2100)]
)
def test_ragged_shapes(columns, rows):
    assert_same(statistics_of(analog("pcm-512").device), cells(columns, rows, "pairs-2"))


def test_three_pairs_filled_in_order_and_devices_that_are_stuck():
    pcm = statistics_of(analog("pcm-512").device)
    significances = [{"value": value, "unit": "1", "source": "test"} for value in (4, 2, 1)]
    method = method_variant(coding__significances=significances, coding__filling="in_order")
    weights = torch.rand(4, 50, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert_same(pcm, cells_of(weights, method, both_devices=False))
    assert_same(pcm, cells(4, 50, "pairs-2", both=True, stuck=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"device__inactive_device": "programmed"},
        {"device__drift__negative_exponent": "absolute"},
        {"device__drift__exponent_spread__minimum": 0.3, "device__drift__exponent_spread__maximum": 0.4},
        {"device__programming__constant": -1.0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_property_of_a_device(changes):
    assert_same(statistics_of(variant(**changes).device), cells(5, 70, "pairs-2", both=True))


def test_laws_that_the_library_does_not_know_are_torchs():
    class Halved(DeviceStatistics):
        def programming_deviation(self, conductance):
            return conductance / 2

    devices = cells(3, 20)
    assert not laws.takes(Halved(), devices.wanted)
    assert not torch.equal(write(devices, Halved(), DRAWS, "layer"), devices.wanted)


def test_conductances_that_are_kept_in_another_format_are_torchs():
    pcm = statistics_of(analog("pcm-512").device)
    assert not laws.takes(pcm, torch.rand(1, 2, 3, dtype=torch.float64))
