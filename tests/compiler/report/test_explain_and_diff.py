"""The story of one layer, and what changed between two plans."""

import json

import pytest
import torch
from torch import nn

import tilewright
from tilewright.compiler.report.difference import difference
from tilewright.compiler.report.explanation import explain
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_target


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).eval()


def compiled(target="pcm-512", **options):
    return tilewright.compile(network(), target, example_inputs=torch.randn(16, 40), **options)


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(1)
    return compiled()


def test_every_decision_about_a_layer_is_told(small_plan):
    layer = small_plan.document.layers[0]
    found = explain(small_plan, layer.name)
    about = [d for d in small_plan.document.decisions_in_force if d.subject == layer.name]
    assert len(found.decisions) == len(about) >= 6
    story = " ".join(found.sentences)
    for decision in about:
        assert decision.choice in story
        assert decision.reason in story
    assert "fused" in story
    assert "pcm-512" in story
    assert "rejected: " in story
    assert "tile" in found.sentences[-2]
    assert "projected-14nm" in found.sentences[-1]
    assert "of the whole" in found.sentences[-1]
    assert json.loads(json.dumps(found.to_json()))["name"] == layer.name


def test_a_layer_is_found_by_the_models_own_names(small_plan):
    fused = "encoder.layer.0.attention.self.query_key_value"
    for name in (fused, "encoder.layer.0.attention.self.key", "encoder.layer.0.attention.self.key.weight"):
        assert explain(small_plan, name).name == fused
    product = explain(small_plan, "encoder.layer.0.attention.self.scores")
    assert "two activations" in product.sentences[0]
    assert len(product.decisions) == 3


def test_an_unknown_layer_names_the_nearest(small_plan):
    with pytest.raises(InputError, match=r"did you mean 'encoder\.layer\.0\.output\.dense'"):
        explain(small_plan, "encoder.layer.0.outptu.dense")


def test_uses_are_told_one_by_one():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x):
            return self.layer(torch.relu(self.layer(x)))

    story = explain(tilewright.compile(Twice(), example_inputs=torch.randn(4, 8)), "layer").sentences
    assert ", 2 times" in story[0]
    assert sum(sentence.startswith("Calibrated") for sentence in story) == 2


def test_equal_plans_do_not_differ(plain):
    assert not difference(plain, plain)


def test_what_changed_is_named(plain):
    torch.manual_seed(1)
    other = compiled("pcm-512-mixed", assign={"4": "digital-int8"}, programming={"0": "pairs-2"})
    found = difference(plain, other)
    changes = {(change.subject, change.key): (change.before, change.after) for change in found.changes}
    assert changes["plan", "tiles"] == (3, 2)
    assert changes["plan", "target"] == ("pcm-512", "pcm-512-mixed")
    assert changes["4", "target"] == ("pcm-512", "digital-int8")
    assert changes["4", "programming"] == ("direct", None)
    assert changes["0", "devices_per_weight"] == (2, 4)
    assert changes["hardware", "target digital-int8"] == ("", "new")
    assert ("2", "target") not in changes
    assert not found.added
    assert not found.removed


def test_hardware_is_compared_key_by_key(plain):
    torch.manual_seed(1)
    other = compiled(load_target("pcm-512", {"tile.adc.bits": 8, "drift_compensation": "none"}))
    changes = {c.key: (c.before, c.after) for c in difference(plain, other).changes if c.subject == "hardware"}
    assert changes == {
        "pcm-512: tile.adc.bits": ("10 bits", "8 bits"),
        "pcm-512: drift_compensation": ("global", "none"),
    }
    torch.manual_seed(1)
    renamed = compiled("pcm-512-low-noise")
    keys = {c.key for c in difference(plain, renamed).changes if c.subject == "hardware"}
    assert keys == {
        "pcm-512 -> pcm-512-low-noise: device.programming.scale",
        "pcm-512 -> pcm-512-low-noise: device.accumulated_noise.scale",
    }


def test_another_network_is_added_and_removed(plain, small_plan):
    found = difference(plain, small_plan)
    assert found.removed == ["0", "2", "4"]
    assert "pooler.dense" in found.added
    assert any(change.key == "model_sha256" for change in found.changes)
