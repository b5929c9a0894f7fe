"""Layers on several targets of a chip, by several programming methods, with ranges and scales by rule."""

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import analog
from tilewright.compiler.report.summary import summarise
from tilewright.runtime.plan.blocks import positions_of
from tilewright.runtime.plan.check import check_plan
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_chip, load_programming, load_target
from tilewright.targets.spec import Chip

X = torch.randn(48, 40, generator=torch.Generator().manual_seed(0))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).eval()


def compiled(target="pcm-512", **options):
    plan = tilewright.compile(network(), target, example_inputs=X, **options)
    check_plan(plan.document, plan.tensors)
    return plan


def decision(plan, made_by, subject):
    return next(d for d in plan.document.decisions_in_force if d.made_by == made_by and d.subject == subject)


def error(plan, time="1h"):
    with torch.no_grad():
        exact = network()(X)
    outputs = tilewright.Session(plan).advance_to(time)(input=X)["output"]
    return float((outputs - exact).norm() / exact.norm())


def round_trip(plan, folder):
    loaded = tilewright.load(plan.save(folder))
    one, other = (tilewright.Session(which, 2).advance_to("1d")(input=X)["output"] for which in (plan, loaded))
    assert torch.equal(one, other)
    return loaded


def test_layers_by_pattern_on_a_mixed_chip(tmp_path):
    plan = compiled("pcm-512-mixed", assign={"*": "pcm-512", "2": "digital-int8", "4": "digital-fp16"})
    plan = round_trip(plan, tmp_path / "plan")
    assert [layer.target for layer in plan.document.layers] == ["pcm-512", "digital-int8", "digital-fp16"]
    analog, int8, fp16 = plan.document.layers
    assert analog.option.programming == "direct"
    assert analog.tiles
    assert int8.option.programming is None
    assert not int8.tiles
    assert int8.option.uses[0].input_range > 0
    assert fp16.option.uses[0].input_range is None
    assert "asked for by '2'" in decision(plan, "assign_targets", "2").reason
    assert {a.choice for a in decision(plan, "assign_targets", "2").rejected} == {"pcm-512", "digital-fp16"}
    places = {weight.name: weight.place for weight in plan.document.weights_of_model}
    assert places["0.weight"] == "analog"
    assert places["2.weight"] == places["4.weight"] == "digital"
    report = summarise(plan)
    assert [line.tiles for line in report.layers] == [1, 0, 0]
    assert report.parameters_on_tiles == 40 * 64
    assert error(plan) < error(compiled("pcm-512"))


def test_a_digital_unit_alone(tmp_path):
    plan = round_trip(compiled("digital-int8"), tmp_path / "plan")
    assert plan.document.placement.tiles == plan.document.placement.chips == 0
    assert error(plan) == error(plan, "1y") < 0.03
    assert error(compiled("digital-fp16")) < 0.002


@pytest.mark.parametrize("target", ["hermes-256", "ftj-constrained", "rram-512", "pcm-512-8bit", "pcm-512-low-noise"])
def test_every_analog_target_compiles_and_runs(target, tmp_path):
    plan = round_trip(compiled(target), tmp_path / "plan")
    assert 0.001 < error(plan) < 0.5
    assert plan.document.layers[0].option.programming == analog(target).programming.name


def test_tiles_of_two_targets_lie_side_by_side():
    chip = load_chip("pcm-512").model_dump(mode="json")
    other = load_chip("pcm-512-low-noise").model_dump(mode="json")
    chip["tiles"] += other["tiles"]
    plan = compiled(Chip.model_validate(chip), assign={"4": "pcm-512-low-noise"})
    assert plan.document.placement.mesh == (24, 48)
    assert [next(positions_of(layer, plan.document.chip)).column for layer in plan.document.layers] == [0, 1, 24]


def test_programming_for_all_and_by_pattern(tmp_path):
    plan = compiled(programming={"*": "pairs-2", "4": load_programming("most-least")})
    plan = round_trip(plan, tmp_path / "plan")
    assert [layer.option.programming for layer in plan.document.layers] == ["pairs-2", "pairs-2", "most-least"]
    assert {method.name for method in plan.document.programming} == {"pairs-2", "most-least"}
    found = decision(plan, "choose_programming", "4")
    assert "asked for by '4'" in found.reason
    assert found.rejected[0].choice == "direct"
    assert [line.devices_per_weight for line in summarise(plan).layers] == [4, 4, 4]
    assert error(compiled(programming="pairs-4")) < error(compiled())


def test_one_method_for_all_passes_digital_layers_by():
    plan = compiled("pcm-512-mixed", assign={"2": "digital-int8"}, programming="pairs-2")
    assert [layer.option.programming for layer in plan.document.layers] == ["pairs-2", None, "pairs-2"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"assign": {"7": "pcm-512"}}, ["'7'", "matches no layer", "allowed: 0, 2, 4"]),
        ({"assign": {"2": "digital-int8"}}, ["'digital-int8'", "not on chip pcm-512"]),
        ({"programming": {"9*": "pairs-2"}}, ["'9*'", "matches no layer"]),
        ({"programming": "pears-2"}, ["no programming method 'pears-2'", "did you mean 'pairs-2'"]),
        ({"programming": {"2": "pcm-512"}}, ["'pcm-512' is of the kind analog"]),
        (
            {"target": "pcm-512-mixed", "assign": {"2": "digital-int8"}, "programming": {"2": "pairs-2"}},
            ["'2'", "digital unit digital-int8"],
        ),
        ({"target": "attention-int8"}, ["'attention-int8' is of the kind attention"]),
    ],
)
def test_what_cannot_be_is_one_sentence(options, words):
    with pytest.raises(InputError) as raised:
        compiled(**options)
    assert "\n" not in str(raised.value)
    for word in words:
        assert word in str(raised.value)


def test_two_methods_of_one_name_are_refused():
    other = load_programming("pairs-2").model_copy(update={"stuck_devices": "avoided"})
    with pytest.raises(InputError, match="two different programming methods are named 'pairs-2'"):
        compiled(programming={"0": "pairs-2", "2": other})


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"rule": "abs_max"}, lambda x: x.max()),
        (
            {"rule": "percentile", "percentile": {"value": 99, "unit": "%", "source": "test"}},
            lambda x: x.quantile(0.99),
        ),
    ],
)
def test_ranges_by_rule(rule, expected):
    plan = compiled(load_target("pcm-512", {"tile.input_range": rule}))
    scale = plan.tensors["on_tiles.0.channel_scale"] if plan.document.layers[0].option.has_channel_scale else 1.0
    found = plan.document.layers[0].option.uses[0].input_range
    assert found == pytest.approx(float(expected((X / scale).abs().flatten())), rel=1e-4)
    assert decision(plan, "calibrate", "0").reason == "the target asks for this rule"


def test_ranges_of_each_vectors_own(tmp_path):
    own = {"rule": "dynamic", "doublings": {"value": 2, "unit": "reading", "source": "test"}}
    plan = round_trip(compiled(load_target("pcm-512", {"tile.input_range": own})), tmp_path / "plan")
    assert [use.input_range for layer in plan.document.layers for use in layer.option.uses] == [None] * 3
    assert "each input vector's own" in decision(plan, "calibrate", "0").choice
    assert summarise(plan).layers[0].input_ranges == [None]


def test_an_affine_compensation_keeps_inputs_in_the_plan(tmp_path):
    plan = round_trip(compiled(load_target("pcm-512", {"drift_compensation": "affine"})), tmp_path / "plan")
    for layer in plan.document.layers:
        kept = plan.tensors[f"on_tiles.{layer.name}.calibration_pcm_512"]
        assert layer.option.has_calibration
        assert kept.shape == (48, layer.inputs)
    first = plan.document.layers[0]
    scale = plan.tensors["on_tiles.0.channel_scale"] if first.option.has_channel_scale else 1.0
    torch.testing.assert_close(
        plan.tensors["on_tiles.0.calibration_pcm_512"], X / scale / first.option.uses[0].input_range
    )
    assert not any(layer.option.has_calibration for layer in compiled().document.layers)


def test_weights_clipped_by_rule_and_by_error():
    fixed = {"rule": "deviations", "deviations": {"value": 2.5, "unit": "1", "source": "test"}}
    plan = compiled(load_target("pcm-512", {"tile.weight_clipping": fixed}))
    assert [layer.option.clip_deviations for layer in plan.document.layers] == [2.5] * 3
    chosen = compiled(load_target("pcm-512", {"tile.weight_clipping": {"rule": "least_error"}}))
    for layer in chosen.document.layers:
        found = decision(chosen, "clip_weights", layer.name)
        errors = {a.choice: a.figures[0].value for a in found.rejected} | {found.choice: found.figures[0].value}
        assert len(errors) == 7
        assert errors[found.choice] == min(errors.values())
        assert (layer.option.clip_deviations is None) == (found.choice == "weights as they are")


def test_a_clipped_layer_differs_from_an_unclipped_one():
    """Few large weights: a cut leaves the others larger, and so less noisy."""
    torch.manual_seed(0)
    model = nn.Linear(256, 64, bias=False)
    with torch.no_grad():
        model.weight[:, 3] *= 30
    x = torch.randn(64, 256)
    x[:, 3] = 0  # what is cut is never driven
    clip = {"tile.weight_clipping": {"rule": "least_error"}}
    plans = [tilewright.compile(model, load_target("pcm-512", c), example_inputs=x) for c in ({}, clip)]
    assert plans[1].document.layers[0].option.clip_deviations is not None
    exact = model(x).detach()
    errors = [(tilewright.Session(plan).advance_to("1d")(input=x)["output"] - exact).norm() for plan in plans]
    assert errors[1] < 0.7 * errors[0]


def test_row_blocks_even_or_full_first():
    changes = {"tile.rows": 24, "tile.columns": 64}
    even = compiled(load_target("pcm-512", changes))
    greedy = compiled(load_target("pcm-512", {**changes, "tile.row_splitting": "greedy"}))
    assert even.document.layers[0].option.row_splits == [20, 20]
    assert greedy.document.layers[0].option.row_splits == [
        24,
        16,
    ]
    assert "full tiles first" in decision(greedy, "partition", "0").reason


def test_a_scale_a_tile_is_worse_than_one_a_column():
    target = load_target("pcm-512", {"tile.weight_scale": "per_tile"})
    assert error(compiled(target)) > error(compiled())


@pytest.mark.parametrize(("bits", "operands"), [(6, "int6"), ("bf16", "bf16"), ("attention-int10", "int10")])
def test_attention_formats(small_bert_folder, bits, operands):
    plan = tilewright.compile(small_bert_folder, attention_bits=bits)
    assert {matmul.operands for matmul in plan.document.matmuls} == {operands}
    ids = torch.tensor([[5, 6, 7]])
    assert tilewright.Session(plan)(input_ids=ids)["last_hidden_state"].isfinite().all()


@pytest.mark.parametrize("target", ["pcm-512", "digital-int8", "pcm-512-mixed"])
def test_inputs_that_are_not_numbers_are_refused_by_the_layers_name(target):
    """log of a negative number: the network runs, and no range holds what the second layer sees."""

    class Log(nn.Module):
        def forward(self, x):
            return torch.log(-x.abs() - 1)

    model = nn.Sequential(nn.Linear(4, 4), Log(), nn.Linear(4, 2))
    with pytest.raises(InputError, match="the inputs of '2' reach nan on the calibration inputs"):
        tilewright.compile(model, target, example_inputs=torch.randn(8, 4))
