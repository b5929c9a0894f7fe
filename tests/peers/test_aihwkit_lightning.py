"""Against IBM's AIHWKit-Lightning: what converters alone do to a product (it has no devices that drift), and its files.

Needs the package aihwkit-lightning: `make test-peers`.
"""

import pickle

import pytest
import torch
import transformers

import tilewright
from tests.conftest import small_bert_config
from tests.narrowing import analog, present
from tests.on_tiles import layer_on_tiles
from tilewright.runtime.measuring.characterize import standard_problem
from tilewright.runtime.plan.names import bias_key, weight_key

lightning = pytest.importorskip(
    "aihwkit_lightning", reason="aihwkit-lightning is not installed; `make test-peers` does", exc_type=ImportError
)


@pytest.mark.parametrize("bits", [8, 10])
def test_converters_agree_but_for_edges_of_a_step(bits):
    """Ranges of each vector's own, no noise: 97 % of outputs the same, the others one LSB apart."""
    from aihwkit_lightning.nn import AnalogLinear as TheirLinear
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    weight, inputs = standard_problem(512, 64, 256)
    config = TorchInferenceRPUConfig()
    config.forward.inp_res, config.forward.out_res, config.forward.out_bound = 254.0, 2.0**bits - 2, 10.0
    config.pre_post.input_range.enable = config.pre_post.input_range.dynamic = True
    theirs = TheirLinear(512, 64, bias=False, rpu_config=config)
    theirs.set_weights(weight)
    theirs.eval()
    quiet = {"device": {"statistics": "ideal"}, "tile.output_noise": 0, "tile.short_term_read_noise": 0}
    own = {"rule": "dynamic", "doublings": {"value": 0, "unit": "reading", "source": "as theirs"}}
    plain = {"tile.scale_precision": "float32", "drift_compensation": "none", "tile.input_range": own}
    target = analog("pcm-512", {**quiet, **plain, "tile.adc.bits": bits})
    ours = layer_on_tiles(weight, target)
    with torch.no_grad():
        difference = (ours(inputs) - theirs(inputs)).abs()
    assert (difference > 1e-3).double().mean() < 0.03
    assert difference.max() <= present(target.tile.adc).step * 1.001


def settings(**changes):
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.forward.inp_res, config.forward.out_res, config.forward.out_bound = 254.0, 254.0, 10.0
    config.pre_post.input_range.enable = True
    config.mapping.max_input_size = 32
    for name, value in changes.items():
        setattr(config.clip, name, value)
    return config


def trained_bert(**changes):
    """A converted BERT, the ranges of whose slices are .75."""
    from aihwkit_lightning.nn.conversion import convert_to_analog

    torch.manual_seed(0)
    model = convert_to_analog(transformers.BertModel(small_bert_config(num_hidden_layers=1)), settings(**changes))
    for layer in model.analog_layers():
        layer.input_range.data.fill_(0.75)
    return model.eval()


@pytest.mark.parametrize("written_by", ["save_pretrained", "torch.save"])
def test_its_files_keep_their_ranges(tmp_path, written_by):
    model = trained_bert()
    model.save_pretrained(tmp_path)
    if written_by == "torch.save":
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    plan = tilewright.compile(tmp_path, cache=False)
    assert {at for layer in plan.document.layers for at in layer.option.input_ranges} == {0.75}
    assert plan.document.unused_tensors == []


def test_learned_clips_are_its_own_weights(tmp_path):
    """A layer of the plan, without a chip, is theirs with its clips and without converters."""
    from aihwkit_lightning.simulator.configs import WeightClipType

    model = trained_bert(type=WeightClipType.LEARNABLE_PER_CHANNEL)
    layer = model.encoder.layer[0].output.dense
    layer.learnable_weight_clip.data.mul_(0.5)
    layer.rpu_config.forward.inp_res = layer.rpu_config.forward.out_res = -1.0
    layer.rpu_config.forward.out_bound = 0.0
    layer.input_range.data.fill_(1e6)
    model.save_pretrained(tmp_path)
    plan = tilewright.compile(tmp_path, cache=False)
    name = "encoder.layer.0.output.dense"
    x = torch.randn(20, 128, generator=torch.Generator().manual_seed(1))
    ours = x @ plan.tensors[weight_key(name)].T + plan.tensors[bias_key(name)]
    assert torch.allclose(ours, layer(x), atol=1e-5)
    assert "lie outside the clips" in plan.document.notes[0]


def test_its_modules_compile_in_memory():
    from aihwkit_lightning.nn.conversion import convert_to_analog

    model = convert_to_analog(
        torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(64, 5)), settings()
    )
    for layer in model.analog_layers():
        layer.input_range.data.fill_(0.75)
    plan = tilewright.compile(model.eval(), example_inputs=torch.randn(2, 3, 6, 6), check=True)
    assert [layer.option.input_ranges for layer in plan.document.layers] == [[0.75], [0.75]]
    assert not any("round" in node.target for node in plan.document.graph)


@pytest.mark.parametrize("write", ["pickle", "dill"])
def test_its_settings_are_a_target(tmp_path, write):
    written = pickle if write == "pickle" else pytest.importorskip("dill")
    (tmp_path / "rpu_config").write_bytes(written.dumps(settings()))
    tile = analog(tilewright.read_rpu_config(tmp_path).target).tile
    assert (int(tile.rows), int(present(tile.dac).bits), int(present(tile.adc).bits)) == (32, 8, 8)


def test_a_checkpoint_with_slices_computes_as_it_did():
    """Their own forward, with its DACs and ADCs, against the plan's tiles: the same but for edges of a step."""
    from aihwkit_lightning.nn import AnalogLinear as TheirLinear
    from aihwkit_lightning.simulator.configs import WeightClipType

    weight, inputs = standard_problem(96, 40, 256)
    theirs = TheirLinear(96, 40, rpu_config=settings(type=WeightClipType.LAYER_GAUSSIAN_PER_CHANNEL)).eval()
    theirs.set_weights(weight)
    theirs.input_range.data = torch.tensor([1.5, 0.9, 2.2])
    quiet = {"device": {"statistics": "ideal"}, "tile.output_noise": 0, "tile.short_term_read_noise": 0}
    plain = {"tile.scale_precision": "float32", "drift_compensation": "none", "tile.rows": 32, "tile.adc.bits": 8}
    target = analog("pcm-512", {**quiet, **plain})
    plan = tilewright.compile(torch.nn.Sequential(theirs), target, example_inputs=inputs)
    (ours,) = tilewright.Session(plan)(inputs).values()
    with torch.no_grad():
        difference = (ours - theirs(inputs)).abs()
    assert (difference > 1e-3).double().mean() < 0.05
    assert difference.max() < 0.1 * ours.abs().max()
