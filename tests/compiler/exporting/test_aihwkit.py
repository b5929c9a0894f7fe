"""Layers for AIHWKit: what is written, what is said to lack, and the script's own part. tests/peers runs the rest."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import tilewright
from tests.narrowing import analog
from tests.scripts import script
from tilewright.targets.errors import InputError

CLIPPED = {"tile.weight_clipping": {"rule": "deviations", "deviations": {"value": 1, "unit": "1", "source": "a test"}}}


@pytest.fixture
def inputs():
    return torch.randn(64, 24, generator=torch.Generator().manual_seed(1))


def plan_of(inputs, target="pcm-512", **options):
    torch.manual_seed(0)
    first = nn.Linear(24, 8)
    first.register_buffer("input_range", torch.tensor([0.75, 0.5]))
    return tilewright.compile(
        nn.Sequential(first, nn.ReLU(), nn.Linear(8, 4)).eval(), target, example_inputs=inputs, **options
    )


def exact_block(_target, weight, _input_range):
    """A row-block without converters."""
    block = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    block.weight.data = weight
    return block


def test_the_folder_rebuilds_the_plans_layers(inputs, tmp_path, monkeypatch):
    """Outputs of the whole network with exact row-blocks: the digital reference's."""
    plan = plan_of(inputs, analog("pcm-512", {"tile.rows": 10}))
    found = tilewright.export_layers(plan, tmp_path / "out")
    assert found.layers == ["0", "2"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "layers.json",
        "layers.safetensors",
        "rebuild.py",
    ]
    document = json.loads((tmp_path / "out" / "layers.json").read_text())
    assert document["layers"]["0"]["input_ranges"] == [0.75]
    assert document["layers"]["0"]["row_splits"] == [8, 8, 8]
    assert document["targets"]["pcm-512"]["adc_bits"] == 10
    assert set(load_file(tmp_path / "out" / "layers.safetensors")) >= {"0/weight", "0/bias", "0/channel_scale"}
    module = script(tmp_path / "out" / "rebuild.py")
    monkeypatch.setattr(module, "lightning_block", exact_block)
    session = tilewright.Session(plan)
    module.put_into(session, module.layers())
    expected = tilewright.Session(plan, ideal=True)(inputs)["output"]
    assert torch.allclose(session(inputs)["output"], expected, atol=1e-5)


def test_weights_are_cut_as_the_plan_cuts_them(inputs, tmp_path):
    plan = plan_of(inputs, analog("pcm-512", CLIPPED))
    tilewright.export_layers(plan, tmp_path / "out")
    cut = load_file(tmp_path / "out" / "layers.safetensors")["2/weight"]
    assert (cut.abs() == cut.abs().amax(dim=1, keepdim=True)).sum() > len(cut)


def test_what_lacks_is_said(inputs, tmp_path):
    notes = tilewright.export_layers(plan_of(inputs, "pcm-512-8bit"), tmp_path / "out").notes
    assert any("IR drop, scales in bfloat16, which the rebuilt layers lack" in note for note in notes)
    mixed = plan_of(inputs, "pcm-512-mixed", assign={"2": "digital-int8"})
    found = tilewright.export_layers(mixed, tmp_path / "mixed")
    assert found.layers == ["0"]
    assert "1 layer on digital units left out (2)" in found.notes


def test_folders_that_are_there(inputs, tmp_path):
    plan = plan_of(inputs)
    tilewright.export_layers(plan, tmp_path / "out")
    with pytest.raises(InputError, match="exists already"):
        tilewright.export_layers(plan, tmp_path / "out")
    tilewright.export_layers(plan, tmp_path / "out", overwrite=True)
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match=r"holds no layers\.json"):
        tilewright.export_layers(plan, tmp_path / "mine", overwrite=True)


def test_a_plan_with_nothing_on_tiles(inputs, tmp_path):
    with pytest.raises(InputError, match="has no layer on tiles to export"):
        tilewright.export_layers(plan_of(inputs, "digital-int8"), tmp_path / "out")
    assert not list(tmp_path.iterdir())
