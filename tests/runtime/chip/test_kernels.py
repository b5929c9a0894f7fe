"""Compiled kernels make the bits of the law in torch, over ragged shapes, every target, threads and splits."""

import pytest
import torch

from tests.kernel_sets import forced, sets
from tests.variants import method_variant, variant
from tilewright.runtime.chip.analog_linear import AnalogLinear, LayerTensors, TileLayout
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.kernels import native
from tilewright.runtime.chip.samples import reading
from tilewright.runtime.chip.simulated_chip import SimulatedChip
from tilewright.runtime.chip.uses import SAMPLES_FIRST, Use
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_target as analog
from tilewright.targets.loading import target_names
from tilewright.targets.spec import AnalogTarget, DigitalTarget, GaussianDevice

pytestmark = pytest.mark.skipif(native.kernels().name == native.TORCH, reason=native.kernels().why)
SAMPLES = [5, -1, 2**33]
DAY = 86400.0


def has_dac(target: AnalogTarget | DigitalTarget) -> bool:
    return target.tile is not None and target.tile.dac is not None


def splits(size: int, most: int) -> list[int]:
    return [min(most, size - start) for start in range(0, size, most)]


def layer(target, outputs, inputs, *, programming=None, channel_scale=False, bias=True):
    generator = torch.Generator().manual_seed(outputs * 1000 + inputs)
    weight = torch.randn(outputs, inputs, generator=generator) * 0.1
    weight[outputs // 2] = 0
    tensors = LayerTensors(
        weight,
        torch.randn(outputs, generator=generator) if bias else None,
        torch.rand(inputs, generator=generator) + 0.5 if channel_scale else None,
    )
    tile = target.tile
    layout = TileLayout(splits(inputs, int(tile.rows)), splits(outputs, int(tile.columns)), programming)
    return AnalogLinear("l", SimulatedChip(target, Draws(1, 2)), tensors, layout, [Use(3.0, SAMPLES_FIRST)])


def made(target, outputs, inputs, rows, **settings):
    """Everything that a layer holds and gives, at two times."""
    x = torch.randn(len(SAMPLES), rows, inputs, generator=torch.Generator().manual_seed(7))
    tiles = layer(target, outputs, inputs, **settings)
    found = [block.programmed for block in tiles._blocks]
    for seconds in (0.0, DAY):
        tiles.advance_to(seconds)
        for block in tiles._blocks:
            found += [block.tiles.weights.steps, block.correction.factor]
            if block.tiles.magnitudes is not None:
                found.append(block.tiles.magnitudes.steps)
        with reading(SAMPLES):
            found.append(tiles(x))
    return found


def assert_same(target, outputs, inputs, rows, **settings):
    with forced(native.TORCH):
        expected = made(target, outputs, inputs, rows, **settings)
    for name in sets():
        with forced(name):
            found = made(target, outputs, inputs, rows, **settings)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert torch.equal(one, other), name


@pytest.mark.parametrize("changes", [{}, {"tile__adc": None}, {"tile__read_noise_law": "constant"}], ids=str)
def test_vectors_of_which_some_are_read_again(changes):
    """Sums are so large that most vectors saturate the ADC once or twice; one is zeros, which has no range."""
    doublings = {"value": 3, "unit": "reading", "source": "test"}
    target = variant(tile__input_range={"rule": "dynamic", "doublings": doublings}, **changes)
    x = torch.rand(3, 70, 900, generator=torch.Generator().manual_seed(1)) * torch.logspace(-2, 2, 70).unsqueeze(1)
    x[1, 4] = 0

    def outputs():
        tensors = LayerTensors(torch.rand(33, 900, generator=torch.Generator().manual_seed(2)) - 0.3, torch.ones(33))
        layout = TileLayout([512, 388], [33])
        uses = [Use(1.0, SAMPLES_FIRST)]
        tiles = AnalogLinear("l", SimulatedChip(target, Draws(1, 2)), tensors, layout, uses, DAY)
        with reading(SAMPLES):
            return tiles(x)

    with forced(native.TORCH):
        expected = outputs()
    for name in sets():
        with forced(name):
            assert torch.equal(outputs(), expected), name


ANALOG = [name for name in target_names("analog") if has_dac(analog(name))]


@pytest.mark.parametrize("name", ANALOG)
@pytest.mark.parametrize(("outputs", "inputs", "rows"), [(1, 1, 1), (40, 100, 5), (33, 17, 7)])
def test_every_target_of_the_library(name, outputs, inputs, rows):
    direct = analog("pcm-512").programming
    assert_same(analog(name), outputs, inputs, rows, programming=direct)


@pytest.mark.parametrize(
    ("outputs", "inputs", "rows"), [(31, 511, 3), (32, 512, 4), (65, 1031, 2), (600, 7, 1), (16, 9, 70)]
)
def test_ragged_shapes(outputs, inputs, rows):
    assert_same(analog("pcm-512"), outputs, inputs, rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"tile__ir_drop": {"enabled": True, "wire_resistance": {"value": 3.5, "unit": "ohm", "source": "test"}}},
        {"tile__read_noise_law": "constant"},
        {"tile__dac__bits": 4},
        {"tile__dac__bits": 9},
        {"tile__dac__offset": {"value": 0.7, "unit": "LSB", "source": "test"}},
        {"tile__adc__offset": {"value": 1.5, "unit": "LSB", "source": "test"}},
        {"tile__adc__nonlinearity": {"value": 1.5, "unit": "LSB", "source": "test"}},
        {"tile__dac__nonlinearity": {"value": 0.5, "unit": "LSB", "source": "test"}},
        {"tile__adc": None},
        {"tile__output_noise": 0.0, "tile__short_term_read_noise": 0.0},
        {"tile__weight_scale": "per_tile"},
        {"drift_compensation": "none"},
        {"drift_compensation": "per_column"},
        {"device__drift__negative_exponent": "absolute"},
        {"device__inactive_device": "programmed"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_property_of_a_tile(changes):
    assert_same(variant(**changes), 37, 70, 5)


@pytest.mark.parametrize("name", ["pairs-2", "pairs-4", "binary-analog-3", "most-least", "amplitude-31"])
def test_every_way_to_program(name):
    assert_same(analog("pcm-512"), 20, 30, 3, programming=method_variant(name))


def test_channel_scales_and_no_bias():
    assert_same(analog("pcm-512"), 37, 70, 5, channel_scale=True, bias=False)
    assert_same(analog("pcm-512"), 20, 30, 3, channel_scale=True, programming=method_variant("pairs-2"))


def test_row_blocks_longer_than_kernels_take():
    assert_same(variant(tile__rows=2048), 5, 1500, 2)


def test_writes_far_beyond_the_largest_conductance_make_the_grid_coarser():
    wide = analog("rram-512")
    assert isinstance(wide, AnalogTarget)
    assert isinstance(wide.device, GaussianDevice)
    spread = wide.device.programming.model_copy(update={"cycle_to_cycle": 1.5})
    wide = wide.model_copy(update={"device": wide.device.model_copy(update={"programming": spread})})
    assert_same(wide, 40, 100, 3)
    with forced(native.SETS[0]):
        assert layer(wide, 40, 100)._blocks[0].tiles.weights.unit > 2**-13


def test_threads_splits_and_memory_do_not_matter():
    """Memory that is not written before it is read would hold NaN here."""
    tiles, threads = layer(analog("pcm-512"), 200, 600), torch.get_num_threads()
    tiles.advance_to(DAY)
    x = torch.randn(4, 50, 600, generator=torch.Generator().manual_seed(7))
    with reading(range(4)):
        expected = tiles(x)
    torch.use_deterministic_algorithms(True)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            with reading(range(4)):
                assert torch.equal(tiles(x), expected)
            for sample in range(4):
                with reading([sample]):
                    assert torch.equal(tiles(x[sample : sample + 1]), expected[sample : sample + 1])
        with reading(range(4)):
            assert torch.equal(tiles(x.transpose(0, 1).contiguous().transpose(0, 1)), expected)
            assert torch.equal(tiles(x[:, :20]), expected[:, :20])
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(threads)


def test_inputs_without_rows_and_with_infinities():
    tiles = layer(analog("pcm-512"), 20, 30)
    with reading([0]):
        assert tiles(torch.zeros(1, 0, 30)).shape == (1, 0, 20)
        x = torch.ones(1, 3, 30)
        expected = tiles(x)
        x[0, 1, 4] = float("inf")
        found = tiles(x)
    assert torch.equal(found[:, [0, 2]], expected[:, [0, 2]])
    assert not found[0, 1].isfinite().any()


def test_an_unknown_name_is_refused():
    with (
        forced("avx9000"),
        pytest.raises(InputError, match=r"TILEWRIGHT_KERNELS is 'avx9000'.*allowed: avx2, avx512, off"),
    ):
        native.loaded()


def test_without_the_library_torch_runs(monkeypatch):
    monkeypatch.setattr(native, "find_spec", lambda _: None)
    native.loaded.cache_clear()
    try:
        assert native.loaded() is None
        assert native.kernels() == native.Kernels(native.TORCH, native.NOT_BUILT, (), None)
    finally:
        native.loaded.cache_clear()


def test_a_library_that_cannot_be_loaded_is_told(monkeypatch, tmp_path):
    broken = tmp_path / "_native.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(native, "_file", lambda: broken)
    native.loaded.cache_clear()
    try:
        assert native.loaded() is None
        assert "cannot be loaded" in native.kernels().why
    finally:
        native.loaded.cache_clear()


def test_weights_that_a_model_holds_transposed():
    target, weight = variant(), torch.randn(30, 20) * 0.1
    layout = TileLayout([30], [20])
    made = [
        AnalogLinear("l", SimulatedChip(target, Draws(1, 2)), LayerTensors(held), layout, [Use(3.0, SAMPLES_FIRST)])
        for held in (weight.T, weight.T.contiguous())
    ]
    x = torch.randn(1, 4, 30)
    assert torch.equal(made[0](x), made[1](x))
