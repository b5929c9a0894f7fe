"""Every tensor of a session is a buffer: listed, moved by ``.to(device)``, never changed in format."""

from functools import partial

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import digital, instance, present
from tests.on_tiles import layer_on_tiles
from tests.variants import method_variant, variant
from tilewright.runtime.chip.analog_linear import AnalogLinear
from tilewright.runtime.chip.programming.cells import Cells
from tilewright.runtime.execution.on_demand import OnDemandLinear
from tilewright.runtime.units.linear import DigitalUnitLinear
from tilewright.runtime.units.matmul import UnitMatmul
from tilewright.targets.loading import load_target

X = torch.rand(4, 32, generator=torch.Generator().manual_seed(0))
STUCK = {kind: {"value": 0.05, "unit": "1", "source": "test"} for kind in ("at_zero", "at_maximum")}
LSB = {"value": 1.0, "unit": "LSB", "source": "test"}
TARGETS = {
    "plain": variant(),
    "affine, bent, with offsets": variant(
        drift_compensation="affine", tile__adc__offset=LSB, tile__dac__offset=LSB, tile__dac__nonlinearity=LSB
    ),
    "stuck devices": variant(stuck_devices=STUCK),
    "IR drop": variant(
        tile__ir_drop={"enabled": True, "wire_resistance": {"value": 0.35, "unit": "ohm", "source": "test"}}
    ),
    "floats": variant(tile__dac=None),
    "own ranges": load_target("pcm-512-dynamic"),
}


def tensors_in(thing, seen=None):
    """Every tensor that can be reached from a thing through attributes, containers and what functions were given."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type | str | bytes | int | float | torch.fx.Graph):
        return
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        yield thing
        return
    parts = list(vars(thing).values()) if hasattr(thing, "__dict__") else []
    if isinstance(thing, dict):
        parts += thing.values()
    elif isinstance(thing, list | tuple | set):
        parts += thing
    elif isinstance(thing, partial):
        parts += [thing.func, thing.args, thing.keywords]
    elif hasattr(thing, "__closure__"):
        parts += [cell.cell_contents for cell in thing.__closure__ or ()]
    elif hasattr(thing, "__self__"):
        parts.append(thing.__self__)
    for part in parts:
        yield from tensors_in(part, seen)


def layer(kind, **settings):
    return layer_on_tiles(
        torch.randn(12, 32), TARGETS[kind], splits=([16, 16], [12]), bias=torch.randn(12),
        channel_scale=torch.rand(32) + 0.5, calibration=X, **settings,
    )  # fmt: skip


@pytest.mark.parametrize("kind", TARGETS)
def test_no_tensor_of_a_layer_on_tiles_is_left_behind(kind):
    for method in (None, method_variant("most-least")):
        made = layer(kind, method=method).to("cpu")
        made(X)
        reached = list(tensors_in(made))
        assert {id(tensor) for tensor in reached} == {id(buffer) for buffer in made.buffers()}
        made.to("meta")
        assert all(tensor.is_meta for tensor in tensors_in(made))


def test_buffers_list_what_a_layer_is_made_of():
    names = dict(layer("affine, bent, with offsets").named_buffers())
    for name in (
        "weight", "bias", "channel_scale", "calibration", "row_blocks.0.scale", "row_blocks.1.programmed",
        "row_blocks.0.tiles.weights.held", "row_blocks.0.tiles.magnitudes.held",
        "row_blocks.0.tiles.dac_offset_currents", "row_blocks.0._correction.factor", "row_blocks.0._correction.offset",
        "row_blocks.0._offsets.adc",
    ):  # fmt: skip
        assert name in names
    assert names["row_blocks.0.tiles.weights.held"].dtype == torch.int16
    assert any(name.endswith("_kept_cells.stuck") for name, _ in layer("stuck devices").named_buffers())
    assert not layer("plain").state_dict(), "weights are the plan's, all else is made again"


def test_source_weights_are_not_copied():
    weight = torch.randn(12, 32)
    assert layer_on_tiles(weight, variant()).weight is weight
    assert layer_on_tiles(weight, variant()).to("cpu").weight is weight
    assert DigitalUnitLinear(weight, None, digital("digital-int8"), [1.0]).weight is weight


@pytest.mark.parametrize("name", ["digital-int8", "digital-int4", "digital-fp16", "digital-bf16"])
def test_no_tensor_of_a_digital_unit_is_left_behind(name):
    unit = DigitalUnitLinear(torch.randn(12, 32), torch.randn(12), digital(name), [1.0])
    matmul = UnitMatmul("int8", [1.0, 2.0], [1.5, 0.5])
    assert [tuple(buffer.shape) for buffer in matmul.buffers()] == [(2, 1, 1)] * 2
    for module in (unit, matmul):
        module.to("meta")
        assert all(tensor.is_meta for tensor in tensors_in(module))


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 24), nn.LayerNorm(24), nn.Linear(24, 8))
    return tilewright.compile(model, "pcm-512-mixed", example_inputs={"input": X})


@pytest.mark.parametrize("ideal", [False, True])
def test_no_tensor_of_a_session_is_left_behind(plan, ideal):
    session = tilewright.Session(plan, ideal=ideal)
    session(input=X)
    session.module.to("meta")
    assert all(tensor.is_meta for tensor in tensors_in(session.module))
    assert all(tensor.is_meta for tensor in session.graph.tensors().values())
    assert not any(tensor.is_meta for tensor in plan.tensors.values()), "the plan stays where it is"


def test_a_transformers_session_too(small_plan):
    session = tilewright.Session(small_plan)
    assert len(list(tensors_in(session.module))) > 50
    session.module.to("meta")
    assert all(tensor.is_meta for tensor in tensors_in(session.module))


@pytest.mark.parametrize("change", [lambda m: m.half(), lambda m: m.double(), lambda m: m.to(torch.bfloat16)])
def test_number_formats_are_part_of_the_chip(plan, change):
    session = tilewright.Session(plan)
    expected = session.run({"input": X}, samples=range(4))["output"]
    parts = [session.module, tilewright.Session(plan, ideal=True).module, *session._on_tiles.values()]
    for part in parts[1:]:
        with pytest.raises(TypeError, match="keeps its number formats"):
            change(part)
    with pytest.raises(TypeError, match="keeps its number formats"):
        change(session.module)
    assert torch.equal(session.run({"input": X}, samples=range(4))["output"], expected)
    session.module.float()  # they are that already
    assert torch.equal(session.run({"input": X}, samples=range(4))["output"], expected)


def test_layers_that_are_made_on_demand_are_made_where_the_module_is(plan, monkeypatch):
    session = tilewright.Session(plan, layer_by_layer=True)
    (on_demand, *_) = session._on_tiles.values()
    made: list[AnalogLinear] = []
    build = instance(on_demand, OnDemandLinear)._build

    def noted(seconds):
        made.append(build(seconds))
        return made[-1]

    monkeypatch.setattr(on_demand, "_build", noted)
    session(input=X)
    session.module.to("meta")
    with pytest.raises(Exception, match="meta"):
        session(input=X)
    assert made[0].weight.device.type == "cpu"
    assert made[-1].weight.is_meta


def test_records_that_are_held_are_frozen_dataclasses():
    """``Held`` gives them back as they were put in, with their tensors where these are now."""
    block = layer("stuck devices").row_blocks[0]
    cells = block._kept_cells.record
    assert isinstance(cells, Cells)
    assert cells.devices_per_pair == 2
    assert present(cells.stuck).dtype == torch.bool
    block.to("meta")
    assert block._kept_cells.record.stuck.is_meta
    assert block._kept_cells.record.devices_per_pair == 2
