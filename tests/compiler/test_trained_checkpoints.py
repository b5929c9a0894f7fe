"""Checkpoints that were trained for a chip elsewhere: their ranges, scales and clips are the plan's."""

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn

import tilewright
from tests.conftest import small_bert_config
from tests.narrowing import analog
from tilewright.runtime.plan.names import channel_scale_key, weight_key
from tilewright.targets.errors import InputError

OUT, IN = "encoder.layer.0.output.dense", "encoder.layer.0.intermediate.dense"
SELF = "encoder.layer.0.attention.self"
PARTS = [f"{SELF}.{part}" for part in ("query", "key", "value")]
QUIET = {
    "device": {"statistics": "ideal"}, "tile.output_noise": 0, "tile.short_term_read_noise": 0, "tile.adc": None,
    "drift_compensation": "none", "tile.scale_precision": "float32",
}  # fmt: skip
SCALE = torch.linspace(0.5, 2, 16)


def trained_layer(inputs=16, outputs=4, input_range=(0.75,), **beside):
    """A linear layer with a range, and tensors beside it."""
    torch.manual_seed(0)
    layer = nn.Linear(inputs, outputs)
    layer.register_parameter("input_range", nn.Parameter(torch.tensor(input_range)))
    for name, value in beside.items():
        layer.register_buffer(name, value)
    return layer


def inputs(size=16, samples=64):
    return torch.randn(samples, size, generator=torch.Generator().manual_seed(1))


def compiled(model, target="pcm-512", size=16, **options):
    return tilewright.compile(model.eval(), target, example_inputs=inputs(size), **options)


def layer_of(plan, name="0"):
    return next(layer for layer in plan.document.layers if layer.name == name)


def decision(plan, made_by, name="0"):
    (found,) = [d for d in plan.document.decisions_in_force if (d.made_by, d.subject) == (made_by, name)]
    return found


def through_dacs(x, layer, ranges, scale, rows):
    """Outputs of a layer whose slices go through 8-bit DACs of ranges of their own."""
    total = layer.bias
    for place, r in enumerate(torch.tensor(ranges)):
        part = slice(place * rows, (place + 1) * rows)
        on_dac = (x[:, part] / scale[part] / r).clamp(-1, 1).mul(127).round() / 127
        total = total + (on_dac * r * scale[part]) @ layer.weight[:, part].T
    return total


def agree(found, expected):
    """Equality of two outputs, but for halves of a step that round the other way."""
    difference = (found - expected).abs() / expected.abs().max()
    return difference.max() < 0.02 and (difference > 1e-4).double().mean() < 0.02


def test_a_range_of_three_quarters_stays_one():
    plan = compiled(nn.Sequential(trained_layer()), check=True)
    (use,) = layer_of(plan).option.uses
    assert use.input_range == 0.75
    assert use.simulated_error is None
    assert not layer_of(plan).option.has_channel_scale
    found = decision(plan, "calibrate")
    assert found.choice == "input range: the checkpoint's own"
    assert found.reason == "the checkpoint was trained with it"
    assert len(found.rejected) > 10
    for one in (found, *found.rejected):
        assert [figure.name for figure in one.figures] == ["range", "simulated error"]
    assert "without one" in decision(plan, "rescale_channels").reason


def test_other_layers_are_calibrated_as_before():
    plain = nn.Sequential(trained_layer(), nn.Linear(4, 4))
    torch.manual_seed(1)
    before, after = (compiled(nn.Sequential(first, plain[1])) for first in (nn.Linear(16, 4), plain[0]))
    assert layer_of(before, "1").option.has_channel_scale == layer_of(after, "1").option.has_channel_scale
    assert "least simulated error" in decision(after, "calibrate", "1").reason


@pytest.mark.parametrize("rule", ["abs_max", "percentile"])
def test_whatever_rule_the_target_has(rule):
    percentile = {"percentile": {"value": 99, "unit": "%", "source": "a test"}} if rule == "percentile" else {}
    target = analog("pcm-512", {"tile.input_range": {"rule": rule, **percentile}})
    plan = compiled(nn.Sequential(trained_layer(input_range=[0.3])), target)
    assert layer_of(plan).option.input_ranges == [float(torch.tensor(0.3))]
    (other,) = decision(plan, "calibrate").rejected
    assert [figure.name for figure in other.figures] == ["range", "simulated error"]


def test_a_target_with_ranges_of_its_own_says_that_they_are_not_used():
    plan = compiled(nn.Sequential(trained_layer()), "pcm-512-dynamic")
    assert layer_of(plan).option.input_ranges == [None]
    assert "that of the checkpoint, 0.75, is not used" in decision(plan, "calibrate").reason


def test_a_digital_unit_says_that_they_are_not_used():
    plan = compiled(nn.Sequential(trained_layer()), "digital-int8")
    assert plan.document.notes == [
        "the input ranges of 1 weight of the checkpoint are not used, since their layers run on digital units, which "
        "have ranges of their own (0.weight)"
    ]


def test_each_slice_keeps_its_range():
    """Against the formula: slices of eight rows, each through a DAC of its own range."""
    layer = trained_layer(input_range=[0.75, 0.4], channel_scale=SCALE)
    plan = compiled(nn.Sequential(layer), analog("pcm-512", {**QUIET, "tile.rows": 8}))
    assert layer_of(plan).option.row_splits == [8, 8]
    assert layer_of(plan).option.input_ranges == [0.75]
    assert "2 slices" in decision(plan, "calibrate").reason
    assert "row-blocks" not in decision(plan, "calibrate").reason
    assert decision(plan, "rescale_channels").choice == "the channel scale of the checkpoint"
    (found,) = tilewright.Session(plan)(inputs()).values()
    assert agree(found, through_dacs(inputs(), layer, [0.75, 0.4], SCALE, 8))
    assert not agree(found, through_dacs(inputs(), layer, [0.75, 0.75], SCALE, 8))


def test_slices_that_are_not_the_row_blocks_are_said():
    plan = compiled(nn.Sequential(trained_layer(input_range=[0.75, 0.5, 0.25])))
    assert layer_of(plan).option.input_ranges == [0.75]
    scale = plan.tensors[channel_scale_key("0")]
    assert torch.equal(scale, torch.tensor([1.0] * 6 + [0.5 / 0.75] * 5 + [0.25 / 0.75] * 5))
    assert "slices of 6 + 5 + 5 inputs and runs in row-blocks of 16" in decision(plan, "calibrate").reason


def test_a_scale_that_is_folded_is_the_same_law():
    """The division joins the normalisation before, and what the DACs see is what it was in training."""
    norm, layer = nn.LayerNorm(16), trained_layer(input_range=[1.5], channel_scale=SCALE)
    plan = compiled(nn.Sequential(norm, layer), analog("pcm-512", QUIET), check=True)
    assert decision(plan, "fold_channel_scales", "1").choice == "folded into what computes its inputs"
    assert layer_of(plan, "1").option.input_ranges == [1.5]
    (found,) = tilewright.Session(plan)(inputs()).values()
    assert agree(found, through_dacs(norm(inputs()), layer, [1.5], SCALE, 16))
    assert not agree(found, through_dacs(norm(inputs()), layer, [1.5], torch.ones(16), 16))


def test_digital_units_beside_tiles_have_ranges_of_their_own():
    plan = compiled(nn.Sequential(trained_layer(channel_scale=SCALE)), "pcm-512-mixed")
    options = {option.target: option for option in layer_of(plan).options}
    assert options["pcm-512"].input_ranges == [0.75]
    assert options["pcm-512"].has_channel_scale
    assert options["digital-int8"].input_ranges != [0.75]
    assert not options["digital-int8"].has_channel_scale
    assert plan.document.notes == []


class Parts(nn.Module):
    """Three layers of one input."""

    def __init__(self, *ranges):
        super().__init__()
        self.parts = nn.ModuleList(trained_layer(input_range=[own]) for own in ranges)

    def forward(self, x):
        return torch.cat([part(x) for part in self.parts], dim=-1)


def test_parts_with_ranges_of_their_own_stay_apart():
    (fused,) = compiled(Parts(0.75, 0.75, 0.75)).document.layers
    assert len(fused.parts) == 3
    assert fused.option.input_ranges == [0.75]
    apart = compiled(Parts(0.75, 0.75, 0.5), check=True)
    first, last = apart.document.layers
    assert (len(first.parts), first.option.input_ranges) == (2, [0.75])
    assert (len(last.parts), last.option.input_ranges) == (1, [0.5])
    (said,) = [found for found in apart.document.decisions if found.choice.startswith("apart from parts.2,")]
    assert said.subject == first.name
    assert "ranges of their own" in said.reason


def test_ranges_of_a_matrix_that_is_no_layer():
    """A matrix that the module multiplies from the other side has other inputs."""

    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = trained_layer(4, 16)

        def forward(self, x):
            return x @ self.inner.weight

    (note,) = compiled(Turned()).document.notes
    assert "belong to matrices that are no layers of the plan as they were trained (inner.weight)" in note


def test_convolutions():
    image = nn.Conv2d(2, 3, 2)
    image.register_buffer("input_range", torch.tensor([0.75, 0.5]))
    x = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(1))
    plan = tilewright.compile(nn.Sequential(image).eval(), example_inputs=x)
    assert layer_of(plan).option.input_ranges == [0.75]
    assert torch.equal(plan.tensors[channel_scale_key("0")], torch.tensor([1.0] * 4 + [0.5 / 0.75] * 4))


class Simulating(nn.Linear):
    """A layer that simulates a chip, as those of AIHWKit-Lightning do."""

    def forward(self, x):
        return (x / self.get_parameter("input_range")[0]).clamp(-1, 1).round() + len(self.weight)


def test_layers_that_simulate_a_chip_are_computed_without_it(monkeypatch):
    """And are left as they were, with their weights."""
    monkeypatch.setattr(Simulating, "__module__", "aihwkit_lightning.nn.modules.linear")
    layer = Simulating(16, 4)
    layer.register_parameter("input_range", nn.Parameter(torch.tensor([0.75, 0.5])))
    layer.register_parameter("learnable_weight_clip", nn.Parameter(torch.full((2, 4), 0.1)))
    weight, before = layer.weight, layer(inputs())
    plan = compiled(nn.Sequential(layer), check=True)
    assert layer_of(plan).option.input_ranges == [0.75]
    assert torch.equal(plan.tensors[weight_key("0")], weight.detach().clamp(-0.1, 0.1))
    (note,) = plan.document.notes
    assert note.startswith("1 layer that the model simulates on a chip (Simulating): computed without converters")
    assert layer.weight is weight
    assert torch.equal(layer(inputs()), before)


def test_nonsense_is_one_sentence():
    with pytest.raises(InputError, match=r"^0\.input_range holds -1; it must be finite and above zero$"):
        compiled(nn.Sequential(trained_layer(input_range=[-1.0])))


def beside(name, **tensors):
    return {f"{name}.{what}": torch.as_tensor(value) for what, value in tensors.items()}


def with_tensors(folder, tensors, change=dict):
    weights = change(load_file(folder / "model.safetensors") | tensors)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_a_folder(tmp_path, monkeypatch):
    """Folder of a BERT as AIHWKit-Lightning writes one, kept between two compilations."""
    bert = tmp_path / "bert"
    transformers.BertModel(small_bert_config(num_hidden_layers=1)).save_pretrained(bert)
    state = {"input_range_update_idx": [0.0], "x_min": [-1e-5], "x_max": [1e-5]}
    clip = torch.full((1, 128), 0.02)
    tensors = {
        **beside(OUT, input_range=[0.75, 0.5], channel_scale=torch.linspace(0.5, 2, 128)),
        **beside(IN, input_range=[0.6], learnable_weight_clip=clip, **state),
        **{key: value for part in PARTS for key, value in beside(part, input_range=[0.25], **state).items()},
        **beside("cls.dense", input_range=[1.0]),
        **beside("pooler.dense", channel_scale=torch.ones(64)),
    }
    weight = load_file(bert / "model.safetensors")[f"{IN}.weight"]
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "cache"))
    with_tensors(bert, tensors, lambda weights: {f"bert.{name}": value for name, value in weights.items()})
    plan = tilewright.compile(bert, check=True)
    ranges = {layer.name: layer.option.input_ranges for layer in plan.document.layers}
    assert ranges[OUT] == [0.75]
    assert ranges[IN] == [float(torch.tensor(0.6))]
    assert ranges[f"{SELF}.query_key_value"] == [0.25]
    assert "no update of the range from data" in decision(plan, "calibrate", IN).reason
    assert torch.equal(plan.tensors[weight_key(IN)], weight.clamp(-0.02, 0.02))
    cut = int((weight.abs() > 0.02).sum())
    (note,) = plan.document.notes
    assert note.startswith(f"{cut} of {weight.numel()} weights lie outside the clips")
    assert [tensor.name for tensor in plan.document.unused_tensors] == [
        "bert.cls.dense.input_range", "bert.pooler.dense.channel_scale",
    ]  # fmt: skip
    first, kept = (tilewright.compile(bert) for _ in range(2))
    assert list((tmp_path / "cache").rglob("network.json"))
    assert first.document == kept.document
    assert torch.equal(first.tensors[channel_scale_key(OUT)], kept.tensors[channel_scale_key(OUT)])


def test_a_head_and_matrices_stored_transposed(tmp_path):
    """A GPT-2 stored without its head's prefix, whose head is tied to its table."""
    config = transformers.GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=50, n_positions=16)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    with_tensors(
        tmp_path, beside("h.0.mlp.c_proj", input_range=[0.75, 0.5]) | beside("lm_head", input_range=[3.0]),
        lambda weights: {name.removeprefix("transformer."): value for name, value in weights.items()},
    )  # fmt: skip
    plan = tilewright.compile(tmp_path, cache=False)
    found = {layer.name: layer.option for layer in plan.document.layers}
    assert found["transformer.h.0.mlp.c_proj"].input_ranges == [0.75]
    assert found["transformer.h.0.mlp.c_proj"].has_channel_scale
    assert [option.input_ranges for name, option in found.items() if "lm_head" in name or "wte" in name] == [[3.0]]
    assert plan.document.unused_tensors == []
