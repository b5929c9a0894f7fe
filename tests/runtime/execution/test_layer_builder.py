"""The builder makes modules of records: each kind of target, and a kind that is new."""

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import instance
from tilewright.runtime.chip.analog_linear import AnalogLinear
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.uses import SampleAxis
from tilewright.runtime.execution import layer_builder as module
from tilewright.runtime.execution.alone import layer_alone, network_around
from tilewright.runtime.execution.layer_builder import LayerBuilder
from tilewright.runtime.execution.on_demand import OnDemandLinear
from tilewright.runtime.plan.names import layer_path, weight_key
from tilewright.runtime.units.full_precision import DigitalLinear, DigitalMatmul
from tilewright.runtime.units.linear import DigitalUnitLinear
from tilewright.runtime.units.matmul import UnitMatmul
from tilewright.targets.spec import DigitalTarget

X = torch.rand(5, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(32, 24), nn.Tanh(), nn.Linear(24, 8))
    return tilewright.compile(model, "pcm-512-mixed", example_inputs={"input": X}, assign={"2": "digital-int8"})


def builder(plan, **settings):
    return LayerBuilder(plan.document, plan.tensors, Draws(3, 1), **settings)


def test_each_kind_of_target_has_its_module(plan):
    on_tiles, on_unit = plan.document.layers
    made = builder(plan)
    analog = made.layer(on_tiles)
    assert isinstance(analog, AnalogLinear)
    assert isinstance(made.layer(on_unit), DigitalUnitLinear)
    assert analog.weight is plan.tensors[weight_key(on_tiles.name)]
    assert analog.uses[0].input_range == on_tiles.option.input_ranges[0]
    assert analog.uses[0].sample_axis == SampleAxis(0, innermost=False)
    assert isinstance(made.full_precision(on_unit), DigitalLinear)
    assert isinstance(builder(plan, layer_by_layer=True).layer(on_tiles), OnDemandLinear)
    assert isinstance(builder(plan, layer_by_layer=True).layer(on_unit), DigitalUnitLinear)


def test_settings_reach_the_chip(plan):
    layer = builder(plan, compensate=False, kept_as=torch.bfloat16).layer(plan.document.layers[0])
    assert layer.chip.compensation == "none"
    assert layer.row_blocks[0].programmed.dtype == torch.bfloat16
    assert (layer.chip.draws.seed, layer.chip.draws.repeat) == (3, 1)


def test_products_are_made_as_their_records_say(small_plan):
    made = builder(small_plan)
    matmul = small_plan.document.matmuls[0]
    unit = made.matmul(matmul)
    assert isinstance(unit, UnitMatmul)
    assert unit.operands == matmul.operands
    assert isinstance(made.matmul(matmul.model_copy(update={"operands": "fp32"})), DigitalMatmul)


def test_a_new_kind_of_target_is_a_line_in_one_table(plan, monkeypatch):
    monkeypatch.setitem(module.REALISATIONS, DigitalTarget, lambda made, layer: made.full_precision(layer))
    assert isinstance(tilewright.Session(plan).module.get_submodule(layer_path("2")), DigitalLinear)


def test_a_session_and_the_builder_make_the_same_layer(plan):
    layer = plan.document.layers[0]
    session = tilewright.Session(plan, 3, repeat=1).advance_to("1d")
    alone = layer_alone(plan, layer, Draws(3, 1), 86400.0)
    whole = session.module.get_submodule(layer_path(layer.name))
    assert torch.equal(*(instance(one, AnalogLinear).held_weights() for one in (alone, whole)))


def test_around_one_layer_all_is_in_full_precision(plan):
    """The first layer's chip, then the model's own arithmetic."""
    layer, other = plan.document.layers
    network = network_around(plan, layer, Draws(3, 1), 86400.0)
    assert network.seconds == 86400.0
    found = network.run({"input": X}, samples=range(5))["output"]
    session = tilewright.Session(plan, 3, repeat=1).advance_to("1d")
    seen: dict[str, torch.Tensor] = {}
    session.module.get_submodule(layer_path(layer.name)).register_forward_hook(lambda _, __, y: seen.update(y=y))
    session.run({"input": X}, samples=range(5))
    exact = builder(plan).full_precision(other)
    assert torch.equal(found, exact(torch.tanh(seen["y"])))
