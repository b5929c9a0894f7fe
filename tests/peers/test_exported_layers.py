"""Exported layers against the plan's own: the same converters in AIHWKit-Lightning and AIHWKit, the same errors by PCM.

Needs the packages aihwkit-lightning and aihwkit: `make test-peers`.
"""

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import analog
from tests.scripts import script
from tilewright.runtime.plan.names import layer_path

QUIET = {
    "device": {"statistics": "ideal"}, "tile.output_noise": 0, "tile.short_term_read_noise": 0,
    "drift_compensation": "none", "tile.scale_precision": "float32", "tile.rows": 64,
}  # fmt: skip
AS_THEIRS = {
    "device.inactive_device": "programmed", "device.drift.negative_exponent": "absolute", "tile.rows": 64,
    "tile.scale_precision": "float32", "tile.short_term_read_noise": 0, "tile.output_noise": 0,
}  # fmt: skip
TOOLS = ("aihwkit_lightning", "aihwkit")


def importorskip(tool):
    pytest.importorskip(tool, reason=f"{tool} is not installed; `make test-peers` does", exc_type=ImportError)


@pytest.fixture
def inputs():
    return torch.randn(200, 128, generator=torch.Generator().manual_seed(1))


def exported(inputs, changes, folder, target="pcm-512"):
    """A plan of two layers, and the module of its exported script."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(128, 96), nn.GELU(), nn.Linear(96, 32)).eval()
    model[0].register_buffer("input_range", torch.tensor([2.5, 2.0]))
    plan = tilewright.compile(model, analog(target, changes), example_inputs=inputs)
    tilewright.export_layers(plan, folder)
    return plan, script(folder / "rebuild.py")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("bits", [8, 10])
def test_layers_agree_but_for_edges_of_a_step(inputs, tmp_path, tool, bits):
    importorskip(tool)
    plan, module = exported(inputs, {**QUIET, "tile.adc.bits": bits}, tmp_path / "out")
    session, on_tiles = tilewright.Session(plan), module.layers(tool)
    x = inputs
    with torch.no_grad():
        for layer in plan.document.layers:
            x = x if layer.inputs == 128 else torch.nn.functional.gelu(x)
            ours, theirs = session.module.get_submodule(layer_path(layer.name))(x), on_tiles[layer.name](x)
            difference = (ours - theirs).abs() / ours.abs().max()
            assert (difference > 1e-4).double().mean() < 0.05
            assert difference.max() < 0.03
            x = ours


@pytest.mark.parametrize("tool", TOOLS)
def test_the_whole_network_runs_on_their_layers(inputs, tmp_path, tool):
    importorskip(tool)
    plan, module = exported(inputs, QUIET, tmp_path / "out")
    ours = tilewright.Session(plan)(inputs)["output"]
    session = tilewright.Session(plan)
    module.put_into(session, module.layers(tool))
    difference = (session(inputs)["output"] - ours).norm() / ours.norm()
    exact = tilewright.Session(plan, ideal=True)(inputs)["output"]
    assert 0 < difference < 0.2 * (ours - exact).norm() / exact.norm()


@pytest.mark.parametrize("seconds", [1.0, 2592000.0])
def test_devices_disturb_both_alike(inputs, tmp_path, seconds):
    """Means of 20 chips, known to half a percent, differ by less than 3 % (docs/physics.md says what differs)."""
    importorskip("aihwkit")
    plan, module = exported(inputs, AS_THEIRS, tmp_path / "out")
    name = plan.document.layers[0].name
    reference = tilewright.Session(plan, ideal=True)
    with torch.no_grad():
        exact = reference.module.get_submodule(layer_path(name))(inputs, 0)
        ours, theirs = [], []
        for chip in range(20):
            session = tilewright.Session(plan, chip).advance_to(seconds)
            ours.append((session.module.get_submodule(layer_path(name))(inputs) - exact).norm() / exact.norm())
            torch.manual_seed(chip)
            layer = module.layers("aihwkit")[name]
            for use in layer.uses:
                for block in use:
                    block.drift_analog_weights(seconds)
            theirs.append((layer(inputs) - exact).norm() / exact.norm())
    one, other = torch.stack(ours), torch.stack(theirs)
    assert max(one.std() / one.mean(), other.std() / other.mean()) / len(one) ** 0.5 < 0.005
    assert float(one.mean()) == pytest.approx(float(other.mean()), rel=0.03)
