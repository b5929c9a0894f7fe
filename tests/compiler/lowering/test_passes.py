"""What each pass decides, and that the pipeline notices a wrong one."""

from itertools import pairwise
from math import ceil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tilewright
from tests.variants import variant
from tilewright.compiler import pipeline
from tilewright.compiler.driver import trace
from tilewright.compiler.lowering.fuse_shared_inputs import joint_name
from tilewright.compiler.network.compilation import Compilation
from tilewright.compiler.observing.calibrate import range_candidates
from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.output_error import output_error
from tilewright.compiler.observing.rescale_channels import UNSCALED, scale_candidates
from tilewright.compiler.pipeline import PassError, relative_error, run_passes
from tilewright.compiler.steps import PASSES
from tilewright.runtime.plan.blocks import positions_of, ranges, tile_number, tile_position
from tilewright.runtime.plan.splitting import split_evenly
from tilewright.targets import load_chip


@settings(deadline=None)
@given(size=st.integers(1, 5000), limit=st.integers(1, 600))
def test_splits_are_fewest_equal_and_complete(size, limit):
    sizes = split_evenly(size, limit)
    assert sum(sizes) == size and len(sizes) == ceil(size / limit)
    assert max(sizes) <= limit and max(sizes) - min(sizes) <= 1
    assert [stop - start for start, stop in ranges(sizes)] == sizes
    assert ranges(sizes)[0][0] == 0 and ranges(sizes)[-1][1] == size


def test_neighbours_follow_one_another():
    chip = load_chip("pcm-512").tiles[0]
    places = [tile_position(number, chip) for number in range(2 * chip.count)]
    assert len({(p.chip, p.row, p.column) for p in places}) == len(places)
    assert [tile_number(place, chip) for place in places] == list(range(2 * chip.count))
    for one, two in pairwise(places):
        if one.chip == two.chip:
            assert abs(one.row - two.row) + abs(one.column - two.column) == 1


def test_joint_names():
    assert joint_name(["a.b.query", "a.b.key"]) == "a.b.query_key"
    assert joint_name(["q", "k"]) == "q_k"
    assert joint_name(["a.q.dense", "a.k.dense"]) == "a.q_dense_k_dense"


def test_bert_base_needs_the_published_number_of_tiles():
    """38 tiles a layer with Q, K, V fused, 40 apart; 486 in all apart, with pooler and classifier (Rasch 2023)."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=100)  # BERT-base otherwise; the vocabulary is not on tiles
    with torch.device("meta"):  # places need shapes alone
        model = BertForSequenceClassification(config).eval()
    example = {"input_ids": torch.ones(2, 5, dtype=torch.long), "attention_mask": torch.ones(2, 5, dtype=torch.long)}
    plan = tilewright.compile(model, example_inputs=example)
    document = plan.document
    per_layer = [0] * 12
    for layer in document.layers:
        if ".layer." in layer.name:
            per_layer[int(layer.name.split(".layer.")[1].split(".")[0])] += layer.tile_count
    assert per_layer == [38] * 12
    assert document.placement.tiles == 12 * 38 + 4 + 2 and document.placement.chips == 1
    fusions = [decision for decision in document.decisions if decision.made_by == "fuse_shared_inputs"]
    saved = [fusion.rejected[0].figures[0].value - fusion.figures[0].value for fusion in fusions]
    assert saved == [2.0] * 12
    assert document.placement.tiles + sum(saved) == 486
    apart = (12 * 12 * 768 * 768 + 768 * 768 + 768 * 2) / (486 * 512 * 512)
    assert apart == pytest.approx(0.671, abs=0.001)


def small_chip(tiles):
    return variant(chip__mesh_rows=1, chip__mesh_columns=tiles)


def stack(*sizes):
    return nn.Sequential(*[nn.Linear(one, two) for one, two in pairwise(sizes)])


def test_what_does_not_fit_takes_more_chips_and_layers_stay_whole():
    model = stack(600, 600, 600, 600)  # 4 tiles each
    plan = tilewright.compile(model, small_chip(6), example_inputs=torch.randn(2, 600))
    assert plan.document.placement.chips == 3
    assert [{place.chip for place in positions_of(layer, plan.document.chip)} for layer in plan.document.layers] == [
        {0},
        {1},
        {2},
    ]
    decision = next(d for d in plan.document.decisions if d.made_by == "place")
    assert decision.rejected[0].figures[0].value == 2
    plan = tilewright.compile(model, small_chip(3), example_inputs=torch.randn(2, 600))
    assert plan.document.placement.chips == 4  # larger than a chip: every tile is used
    exact = tilewright.Session(plan, ideal=True)(input=torch.ones(1, 600))["output"]
    torch.testing.assert_close(exact, model(torch.ones(1, 600)), rtol=1e-4, atol=1e-4)


def test_layers_of_one_input_are_fused_only_if_every_use_shares_it():
    class Uses(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 4), nn.Linear(8, 6, bias=False), nn.Linear(8, 4)

        def forward(self, x, y):
            first = torch.cat([self.a(x), self.b(x), self.c(x)], -1)
            return first, torch.cat([self.a(y), self.b(y)], -1)

    model = Uses().eval()
    inputs = {"x": torch.randn(3, 8), "y": torch.randn(3, 8)}
    plan = tilewright.compile(model, example_inputs=inputs)
    assert [(layer.name, len(layer.uses)) for layer in plan.document.layers] == [("a_b", 2), ("c", 1)]
    outputs = tilewright.Session(plan, ideal=True)(inputs)
    for value, expected in zip(outputs.values(), model(**inputs), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)


def test_every_decision_has_a_reason_and_a_figure(small_plan):
    for decision in small_plan.document.decisions:
        assert decision.reason and decision.choice and decision.figures, decision
    made_by = {decision.made_by for decision in small_plan.document.decisions}
    assert made_by == {name for name, _ in PASSES} - {
        "canonicalize", "observe", "fold_batch_norms", "unfold_convolutions", "write_as_linear", "locate_samples",
        "account_for_weights", "fold_channel_scales", "clip_weights", "offer_targets",
    }  # fmt: skip


def test_every_pass_is_verified(small_plan):
    assert [check.pass_name for check in small_plan.document.verification] == [name for name, _ in PASSES]
    assert max(check.largest_relative_error for check in small_plan.document.verification) < 1e-5


def compilation(model, inputs):
    traced = trace(model, inputs, None, None, None)
    return Compilation(
        traced=traced,
        chip=load_chip("pcm-512"),
        attention_units={"*": load_chip("pcm-512").attention.unit},
        graph=traced.graph,
    )


def test_a_pass_that_changes_the_model_is_named():
    def wrong(state):
        module = state.layer_module("0")
        module.weight = module.weight * 1.01

    found = [name for name, _ in PASSES].index("find_layers")
    passes = [*PASSES[: found + 1], ("wrong", wrong)]
    with pytest.raises(PassError, match=r"pass wrong changed what the model computes.*canonicalize, .*find_layers"):
        run_passes(compilation(stack(8, 8, 8), torch.randn(2, 8)), passes)


def test_a_pass_that_fails_is_named():
    def broken(state):
        raise KeyError("x")

    with pytest.raises(PassError, match="pass broken failed after canonicalize"):
        run_passes(compilation(stack(8, 8), torch.randn(2, 8)), [PASSES[0], ("broken", broken)])


def test_verify_notices_a_weight_on_no_tile_and_one_on_two():
    state = compilation(stack(600, 600), torch.randn(2, 600))
    names = [name for name, _ in PASSES]

    def lose(state):
        state.layers["0"].row_splits.pop()

    def leave_out(state):
        state.layers["0"].tiles = [(0, 3)]

    def share(state):
        state.layers["0"].tiles = [(0, 2), (1, 2)]

    for damage in (lose, leave_out, share):
        state = compilation(stack(600, 600), torch.randn(2, 600))
        passes = [*PASSES[: names.index("verify")], ("damage", damage), PASSES[-1]]
        with pytest.raises(PassError, match=r"4 blocks on 3 tiles|cover|holds blocks of both"):
            run_passes(state, passes)


@pytest.mark.parametrize("percentile", [99.0, 99.99])
def test_ranges_are_of_absolute_values(percentile):
    seen = Observed(1, 400)
    values = -torch.rand(400, 100)  # negative: the quantile of signed values would be near zero
    seen.see(values)
    candidates = range_candidates(seen)
    assert candidates["abs-max"] == pytest.approx(values.abs().max().item())
    expected = torch.quantile(values.abs().flatten(), percentile / 100).item()
    assert candidates[f"percentile {percentile}"] == pytest.approx(expected, rel=1e-2)


def test_the_range_of_least_error_is_chosen_and_the_others_are_listed(small_plan):
    decisions = [d for d in small_plan.document.decisions if d.made_by == "calibrate" and "input range" in d.choice]
    assert len(decisions) == len(small_plan.document.layers)
    for decision in decisions:
        chosen = decision.figures[1].value
        assert all(chosen <= alternative.figures[1].value for alternative in decision.rejected)
        assert small_plan.layer(decision.subject).uses[0].input_range == pytest.approx(
            decision.figures[0].value, rel=1e-5
        )


def outlier_layer():
    """Two of 256 channels are forty times the others."""
    torch.manual_seed(0)
    model = nn.Linear(256, 128)
    inputs = torch.randn(512, 256)
    inputs[:, [3, 77]] *= 40
    return model, inputs


def test_outlier_channels_are_moved_into_weights_where_it_helps():
    model, inputs = outlier_layer()
    plan = tilewright.compile(model, example_inputs=inputs)
    (layer,) = plan.document.layers
    decision = next(d for d in plan.document.decisions if d.made_by == "rescale_channels")
    assert layer.has_channel_scale and decision.choice != UNSCALED
    unscaled = next(a for a in decision.rejected if a.choice == UNSCALED).figures[0].value
    assert decision.figures[0].value < 0.9 * unscaled
    assert all(decision.figures[0].value <= alternative.figures[0].value for alternative in decision.rejected)
    # and it is true of a chip that the compiler has not seen, at another time
    exact = model(inputs).detach()
    plain = plan.document.model_copy(deep=True)
    plain.layers[0].has_channel_scale = False
    plain.layers[0].uses[0].input_range = float(inputs.abs().max())
    errors = []
    for document in (plan.document, plain):
        session = tilewright.Session(tilewright.Plan(document, plan.tensors), seed=9).advance_to("1w")
        errors.append(output_error(session(input=inputs)["output"], exact))
    assert errors[0] < 0.9 * errors[1]
    ideal = tilewright.Session(plan, ideal=True)(input=inputs)["output"]
    torch.testing.assert_close(ideal, exact, rtol=1e-4, atol=1e-4)


def test_channels_alike_are_left_alone():
    torch.manual_seed(0)
    inputs = torch.rand(512, 256) * 2 - 1
    plan = tilewright.compile(nn.Linear(256, 128), example_inputs=inputs)
    assert not plan.document.layers[0].has_channel_scale
    decision = next(d for d in plan.document.decisions if d.made_by == "rescale_channels")
    assert decision.choice == UNSCALED and len(decision.rejected) >= 5
    ideal = tilewright.compile(*outlier_layer()[:1], "ideal", example_inputs=outlier_layer()[1])
    assert not ideal.document.layers[0].has_channel_scale  # nothing is converted, so nothing can be gained


def test_channel_scales_are_positive_even_for_channels_that_are_never_driven():
    seen = Observed(1, 10)
    values = torch.randn(10, 6) * torch.tensor([1.0, 2.0, 50.0, 0.0, 1.0, 1.0])
    seen.see(values)
    for scale in scale_candidates([seen]).values():
        assert (scale > 0).all() and scale.isfinite().all()
        torch.testing.assert_close(seen.divided_by(scale).kept * scale, values)
    silent = Observed(1, 10)
    silent.see(torch.zeros(10, 6))
    assert scale_candidates([silent]) == {}


def test_tokens_count_alike_whatever_their_size():
    exact = torch.ones(4, 9) * torch.tensor([1000.0, 1.0, 1.0, 0.0]).unsqueeze(1)
    outputs = exact.clone()
    outputs[1] += 0.3
    assert output_error(outputs, exact) == pytest.approx((0.09 / 3) ** 0.5)
    assert output_error(exact, exact) == 0 and output_error(torch.ones(2, 2), torch.zeros(2, 2)) == 0


def test_a_single_wild_value_does_not_set_the_range():
    """abs-max is the wrong range where one value in 60,000 is far out and carries nothing."""
    torch.manual_seed(0)
    model = nn.Linear(256, 64)
    inputs = torch.randn(256, 256)
    inputs[0, 0] = 3000.0
    with torch.no_grad():
        model.weight[:, 0] = 0
    plan = tilewright.compile(model, example_inputs=inputs)
    assert plan.document.layers[0].uses[0].input_range < 10


def test_relative_error():
    one = torch.tensor([1.0, -2.0])
    assert relative_error(one, one) == 0
    assert relative_error(torch.tensor([1.0, -1.0]), one) == pytest.approx(0.5)
    assert relative_error(torch.tensor([1.0, float("nan")]), one) == float("inf")
    nan = torch.tensor([1.0, float("nan"), float("-inf")])
    assert relative_error(nan, nan) == 0
    assert relative_error(one, torch.zeros(3)) == float("inf")
    assert pipeline.TOLERANCE <= 1e-5


def test_a_plan_that_does_not_agree_with_itself_is_the_compilers_fault(monkeypatch):
    """Not the user's: the command line would say that the input is wrong."""
    from tilewright.compiler import driver

    def damaged(compilation, build=driver.build_plan):
        plan = build(compilation)
        plan.document.outputs.pop()
        return plan

    monkeypatch.setattr(driver, "build_plan", damaged)
    with pytest.raises(PassError, match="does not agree with itself: the graph has 1 outputs, the plan names 0"):
        driver.compile(stack(8, 8), example_inputs=torch.randn(2, 8))
