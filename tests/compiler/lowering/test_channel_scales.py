"""Outlier channels: moved where it helps, and folded into what computes the inputs where it can be."""

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import present

SPIKES = slice(5, None, 100)
"""Channels that are forty times the others: one of 64, three of 256."""


def inputs(samples=32, channels=64):
    return torch.randn(samples, channels, generator=torch.Generator().manual_seed(0))


def spiky(module):
    with torch.no_grad():
        module.weight[SPIKES] *= 40
    return module


def compiled(model, x=None, **options):
    torch.manual_seed(0)
    x = inputs() if x is None else x
    return tilewright.compile(model.eval(), example_inputs=x, calibration={"x": x}, check=True, **options)


def decisions(plan, made_by):
    return {d.subject: (d.choice, d.reason) for d in plan.document.decisions if d.made_by == made_by}


def error(plan, model, x, seeds=4):
    with torch.no_grad():
        exact = model(x)
    found = []
    for seed in range(seeds):
        outputs = tilewright.Session(plan, seed).advance_to("1d")(x=x)["output"]
        found.append(float(((outputs - exact).norm(dim=-1) / exact.norm(dim=-1)).mean()))
    return torch.tensor(found)


class AfterNorm(nn.Module):
    def __init__(self, size=64, residual=False):
        super().__init__()
        self.norm, self.layer, self.residual = spiky(nn.LayerNorm(size)), nn.Linear(size, 64), residual

    def forward(self, x):
        hidden = self.norm(x)
        return self.layer(hidden) + (hidden if self.residual else 0)


class AfterLayer(nn.Module):
    def __init__(self, between, size=64):
        super().__init__()
        self.first, self.second, self.between = spiky(nn.Linear(size, size)), nn.Linear(size, 32), between

    def forward(self, x):
        return self.second(self.between(self.first(x)))


class Gated(nn.Module):
    """A Llama's feed-forward network: gate and up are fused, and the scale goes into up alone."""

    def __init__(self):
        super().__init__()
        self.gate, self.up = nn.Linear(64, 48), spiky(nn.Linear(64, 48))
        self.down = nn.Linear(48, 64)

    def forward(self, x):
        return self.down(nn.functional.silu(self.gate(x)) * self.up(x))


class Rms(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.layer = nn.Parameter(torch.ones(64)), nn.Linear(64, 32)
        with torch.no_grad():
            self.scale[SPIKES] *= 40

    def forward(self, x):
        return self.layer(self.scale * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)))


@pytest.mark.parametrize(
    ("make", "layer", "expected"),
    [
        (AfterNorm, "layer", None),
        (Rms, "layer", None),
        (lambda: AfterLayer(nn.ReLU()), "second", None),
        (lambda: AfterLayer(nn.Identity()), "second", None),
        (Gated, "down", None),
        (lambda: AfterNorm(residual=True), "layer", "read elsewhere"),
        (lambda: AfterLayer(nn.GELU()), "second", "gelu"),
        (lambda: nn.Sequential(nn.Softmax(dim=-1), nn.Linear(64, 8)), "1", None),
    ],
    ids=["norm", "rms", "relu", "nothing", "gated", "residual", "gelu", "input"],
)
def test_scales_fold_where_nothing_else_reads_and_the_plan_is_the_model(make, layer, expected):
    torch.manual_seed(0)
    model = make()
    x = inputs()
    if layer == "1":
        x[:, SPIKES] += 3  # softmax: what is not proportional cannot be divided
        expected = "softmax"
    plan = compiled(model, x) if layer != "1" else tilewright.compile(model, example_inputs=x, check=True)
    choice, reason = decisions(plan, "fold_channel_scales").get(layer, ("", ""))
    record = plan.layer(layer)
    assert present(plan.document.check).largest_relative_error < 1e-5
    if expected is None:
        assert choice.startswith("folded")
        assert not record.option.has_channel_scale
    elif choice:
        assert choice.startswith("a digital multiplication")
        assert record.option.has_channel_scale
        assert expected in reason


def test_parameters_are_accounted_for_after_folding():
    torch.manual_seed(0)
    plan = compiled(AfterNorm())
    places = {weight.name: weight.place for weight in plan.document.weights_of_model}
    assert places == {
        "norm.weight": "digital",
        "norm.bias": "digital",
        "layer.weight": "analog",
        "layer.bias": "digital",
    }


@pytest.mark.parametrize("make", [AfterNorm, lambda size: AfterLayer(nn.GELU(), size)], ids=["folded", "digital"])
def test_rescaling_beats_none_on_outlier_channels(make, monkeypatch):
    """Mean error over nine chips; the standard errors do not overlap, three times over."""
    import sys

    torch.manual_seed(0)
    model, x = make(256).eval(), inputs(64, 256)
    passes = sys.modules["tilewright.compiler.observing.rescale_channels"]
    with_scale = error(compiled(model, x), model, x, seeds=9)
    monkeypatch.setattr(passes, "scale_candidates", lambda _: {})
    without = error(compiled(model, x), model, x, seeds=9)
    assert with_scale.mean() + 3 * with_scale.std() / 3 < without.mean() - 3 * without.std() / 3
