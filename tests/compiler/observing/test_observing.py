"""Ranges and channel scales that sample inputs decide."""

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import present
from tests.variants import with_option
from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.range_candidates import range_candidates
from tilewright.compiler.observing.rescale_channels import UNSCALED, scale_candidates
from tilewright.compiler.observing.simulation import output_error


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
    layers = {layer.name for layer in small_plan.document.layers}
    decided = [decision for decision in small_plan.document.decisions_in_force if decision.made_by == "calibrate"]
    decisions = [decision for decision in decided if decision.subject in layers]
    assert len(decisions) == len(layers)
    for decision in decisions:
        chosen = decision.figures[1].value
        assert all(chosen <= alternative.figures[1].value for alternative in decision.rejected)
        use = small_plan.layer(decision.subject).option.uses[0]
        assert use.input_range == pytest.approx(decision.figures[0].value, rel=1e-5)
        assert use.simulated_error == chosen


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
    assert layer.option.has_channel_scale
    assert decision.choice != UNSCALED
    unscaled = next(a for a in decision.rejected if a.choice == UNSCALED).figures[0].value
    assert decision.figures[0].value < 0.9 * unscaled
    assert all(decision.figures[0].value <= alternative.figures[0].value for alternative in decision.rejected)
    # and it is true of a chip that the compiler has not seen, at another time
    exact = model(inputs).detach()
    plain = with_option(plan, layer.name, has_channel_scale=False, input_ranges=[float(inputs.abs().max())])
    errors = []
    for one in (plan, plain):
        session = tilewright.Session(one, seed=9).advance_to("1w")
        errors.append(output_error(session(input=inputs)["output"], exact))
    assert errors[0] < 0.9 * errors[1]
    ideal = tilewright.Session(plan, ideal=True)(input=inputs)["output"]
    torch.testing.assert_close(ideal, exact, rtol=1e-4, atol=1e-4)


def test_channels_alike_are_left_alone():
    torch.manual_seed(0)
    inputs = torch.rand(512, 256) * 2 - 1
    plan = tilewright.compile(nn.Linear(256, 128), example_inputs=inputs)
    assert not plan.document.layers[0].option.has_channel_scale
    decision = next(d for d in plan.document.decisions if d.made_by == "rescale_channels")
    assert decision.choice == UNSCALED
    assert len(decision.rejected) >= 5
    model, inputs = outlier_layer()
    ideal = tilewright.compile(model, "ideal", example_inputs=inputs)
    assert not ideal.document.layers[0].option.has_channel_scale  # nothing is converted, so nothing can be gained


def test_channel_scales_are_positive_even_for_channels_that_are_never_driven():
    seen = Observed(1, 10)
    values = torch.randn(10, 6) * torch.tensor([1.0, 2.0, 50.0, 0.0, 1.0, 1.0])
    seen.see(values)
    for scale in scale_candidates([seen]).values():
        assert (scale > 0).all()
        assert scale.isfinite().all()
        torch.testing.assert_close(seen.divided_by(scale).kept * scale, values)
    silent = Observed(1, 10)
    silent.see(torch.zeros(10, 6))
    assert scale_candidates([silent]) == {}


def test_tokens_count_alike_whatever_their_size():
    exact = torch.ones(4, 9) * torch.tensor([1000.0, 1.0, 1.0, 0.0]).unsqueeze(1)
    outputs = exact.clone()
    outputs[1] += 0.3
    assert output_error(outputs, exact) == pytest.approx((0.09 / 3) ** 0.5)
    assert output_error(exact, exact) == 0
    assert output_error(torch.ones(2, 2), torch.zeros(2, 2)) == 0


def test_a_single_wild_value_does_not_set_the_range():
    """abs-max is the wrong range where one value in 60,000 is far out and carries nothing."""
    torch.manual_seed(0)
    model = nn.Linear(256, 64)
    inputs = torch.randn(256, 256)
    inputs[0, 0] = 3000.0
    with torch.no_grad():
        model.weight[:, 0] = 0
    plan = tilewright.compile(model, example_inputs=inputs)
    assert present(plan.document.layers[0].option.uses[0].input_range) < 10


def test_a_channel_that_sleeps_in_the_samples_keeps_its_weights():
    seen = Observed(1, 4)
    values = torch.ones(4, 9)
    values[:, 3] = 1e-16  # a normalisation's factor that training may change
    seen.see(values)
    for scale in scale_candidates([seen]).values():
        assert float(scale.min()) >= 1e-3
