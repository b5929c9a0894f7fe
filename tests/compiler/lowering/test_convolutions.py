"""Convolutions as patches times a matrix; batch norms in the column scale; what stays digital and why."""

import pytest
import torch
from torch import nn

import tilewright
from tests.onnx_models import SmallResNet, SmallYolo, trained_looking


def places(plan):
    return {weight.name: weight for weight in plan.document.weights_of_model}


def assert_equal(model, plan, *inputs, tolerance=1e-4):
    names = [record.name for record in plan.document.inputs]
    with torch.inference_mode():
        expected = model(*inputs)
    expected = expected if isinstance(expected, tuple) else (expected,)
    outputs = tilewright.Session(plan, ideal=True)(dict(zip(names, inputs, strict=True)))
    for output, exact in zip(outputs.values(), expected, strict=True):
        assert output.shape == exact.shape
        assert ((output - exact).abs().max() / exact.abs().max()).item() < tolerance


CASES = {
    "plain": nn.Conv2d(3, 5, 3),
    "padded": nn.Conv2d(3, 5, 5, padding=2, stride=2),
    "uneven": nn.Conv2d(4, 5, (3, 5), stride=(2, 1), dilation=(1, 2), padding=(0, 3)),
    "same, even kernel": nn.Conv2d(3, 5, 4, padding="same"),
    "valid": nn.Conv2d(3, 5, 3, padding="valid"),
    "reflected": nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect"),
    "single values": nn.Conv2d(3, 5, 1, bias=False),
    "single values, strided": nn.Conv2d(3, 5, 1, stride=(2, 3)),
    "patches": nn.Conv2d(3, 5, 4, stride=4),
    "line": nn.Conv1d(3, 5, 5, stride=2, padding=2),
    "line of single values": nn.Conv1d(3, 5, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_a_convolution_is_a_matrix(name):
    torch.manual_seed(0)
    conv = CASES[name]
    sizes = (13, 17)[: conv.weight.dim() - 2]
    plan = tilewright.compile(conv, example_inputs=torch.randn(2, conv.in_channels, *sizes))
    (layer,) = plan.document.layers
    assert (layer.inputs, layer.outputs) == (conv.weight[0].numel(), conv.out_channels)
    assert places(plan)["weight"].place == "analog"
    for batch, more in ((1, 0), (3, 4)):
        assert_equal(conv, plan, torch.randn(batch, conv.in_channels, *(size + more for size in sizes)))


@pytest.mark.parametrize(
    ("conv", "reason"),
    [
        (nn.Conv2d(8, 8, 3, groups=8), "depthwise"),
        (nn.Conv2d(8, 4, 3, groups=2), "grouped"),
        (nn.ConvTranspose2d(8, 4, 2, stride=2), "transposed"),
        (nn.Conv3d(8, 4, 2), "three-dimensional"),
    ],
)
def test_what_stays_digital_says_why(conv, reason):
    shape = (2, 8, 6, 7, 5) if isinstance(conv, nn.Conv3d) else (2, 8, 6, 7)
    plan = tilewright.compile(conv, example_inputs=torch.randn(shape))
    assert not plan.document.layers
    assert places(plan)["weight"].place == "digital"
    assert reason in places(plan)["weight"].reason
    assert_equal(conv, plan, torch.randn(shape))


def test_a_batch_norm_joins_the_column_scale():
    model = trained_looking(nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU()))
    plan = tilewright.compile(model, example_inputs=torch.randn(2, 3, 8, 9))
    (layer,) = plan.document.layers
    assert layer.has_bias
    assert layer.parts[0].weight == "0.weight"
    assert "column" in places(plan)["1.weight"].reason
    assert "bias" in places(plan)["1.bias"].reason
    assert not [node for node in plan.document.graph if "batch_norm" in node.target]
    assert_equal(model, plan, torch.randn(3, 3, 8, 9))


def test_the_factor_of_a_batch_norm_moves_no_conductance():
    """Weights with and without the norm are the same relative to the largest of their column."""
    from tilewright.runtime.chip.programming import normalise, weight_scale

    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
    nn.init.uniform_(norm.weight, 0.2, 3.0)  # positive: a sign would swap the two devices of a pair
    plans = [tilewright.compile(model.eval(), example_inputs=torch.randn(2, 3, 8, 9))
             for model in (nn.Sequential(conv), nn.Sequential(conv, norm))]  # fmt: skip
    one, two = (plan.tensors["on_tiles.0.weight"] for plan in plans)
    assert not torch.allclose(one, two)
    torch.testing.assert_close(
        normalise(one, weight_scale(one, [len(one)])), normalise(two, weight_scale(two, [len(two)]))
    )


class NotFolding(nn.Module):
    """Norms with nothing before them, with a shared output before them, behind a depthwise convolution."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        self.conv, self.depthwise = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=4)

    def forward(self, x):
        x = self.conv(self.first(x))
        return self.third(self.depthwise(self.second(x) + x))


def test_norms_that_cannot_fold_stay_digital_and_say_why():
    model = trained_looking(NotFolding())
    plan = tilewright.compile(model, example_inputs=torch.randn(2, 4, 6, 6))
    reasons = [places(plan)[f"{name}.weight"].reason for name in ("first", "second", "third")]
    for reason, word in zip(reasons, ("no convolution", "used elsewhere", "stays digital"), strict=True):
        assert word in reason
    assert_equal(model, plan, torch.randn(3, 4, 6, 6))


@pytest.mark.parametrize("network", [SmallResNet, SmallYolo])
def test_whole_networks(network, tmp_path):
    model = trained_looking(network())
    tilewright.compile(model, example_inputs=torch.randn(2, 3, 64, 64)).save(tmp_path / "plan")
    plan = tilewright.load(tmp_path / "plan")
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    assert len(plan.document.layers) == len(convolutions) + len(linears)
    for batch, side in ((1, 64), (3, 96)):
        assert_equal(model, plan, torch.randn(batch, 3, side, side))


def test_noise_follows_the_sample():
    model = trained_looking(SmallResNet())
    plan = tilewright.compile(model, example_inputs=torch.randn(2, 3, 32, 32))
    images = torch.randn(4, 3, 32, 32)
    together = tilewright.Session(plan, 1)({"image": images})["output"]
    session = tilewright.Session(plan, 1)
    apart = torch.cat([session({"image": images[start : start + 2]})["output"] for start in (0, 2)])
    assert torch.equal(together, apart)
