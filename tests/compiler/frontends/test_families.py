"""Every transformer family from a plain folder equals the model, after save and load, at several sizes."""

from collections import Counter
from functools import cache

import pytest

import tilewright
from tests.families import FAMILIES, build, inputs_of, largest_difference
from tests.networks import SAMPLES_FIRST
from tilewright.compiler.sensitivity import measure_sensitivity
from tilewright.runtime.measuring.operations import count_operations

TOLERANCE = 1e-4
DIGITAL = {
    "DeBERTa-v2": {"made into a table": 5},  # relative positions
    "Wav2Vec2": {"grouped convolution": 2},  # of positions, as size and direction
    "ConvNeXT": {"depthwise convolution": 2},
    "MobileNetV2": {"depthwise convolution": 17},
    "EfficientNet": {"depthwise convolution": 8},
    "SegFormer": {"depthwise convolution": 4},
    "HuBERT": {"grouped convolution": 2},
    "SpeechT5": {"grouped convolution": 2},
    "BEiT": {"operand of add, layer_norm, which is not a product with a constant matrix": 1},  # the class token
    "DINOv2": {"no output of the graph depends on it": 1},  # the token of a mask
    "XLNet": {
        "no output of the graph depends on it": 5,  # of masked and of second sentences
        "operand of bmm, which is not a product with a constant matrix": 2,  # by relative positions, the same for all
    },
    "Mamba-2": {"depthwise convolution": 2},
    "Mixtral": {"which experts": 1},
    "PhiMoE": {"which experts": 1},
    "Qwen2-MoE": {"which experts": 1},
    "Qwen3-MoE": {"which experts": 1},
    "OLMoE": {"which experts": 1},
    "DeepSeek-V2": {"which experts": 1},
    "DeepSeek-V3": {"which experts": 1},
}
"""Matrices that stay digital, and as what."""


@pytest.fixture(scope="module")
def family_plan(tmp_path_factory):
    """The model of a family and its plan, saved and loaded, made once."""

    @cache
    def made(name):
        model = build(name)
        folder = tmp_path_factory.mktemp("family")
        model.save_pretrained(folder / "model")
        tilewright.compile(folder / "model").save(folder / "plan")
        return model, tilewright.load(folder / "plan")

    return made


ALIKE = {"DINOv2", "HuBERT", "EfficientNet", "Falcon with ALiBi"}
"""Families that are much like another one: they are tried with the slow tests."""


@pytest.fixture(scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] if name in ALIKE else [])
                                        for name in FAMILIES])  # fmt: skip
def family(request, family_plan):
    return request.param, *family_plan(request.param)


def test_equals_the_model(family):
    _, model, plan = family
    assert largest_difference(model, plan) < TOLERANCE


def test_no_matrix_is_left_digital_without_a_reason(family):
    name, model, plan = family
    weights = plan.document.weights_of_model
    assert sum(weight.parameters for weight in weights) == sum(value.numel() for value in model.parameters())
    assert {weight.name for weight in weights} == {key for key, _ in model.named_parameters()}
    assert all(weight.reason for weight in weights)
    digital = [weight for weight in weights if weight.place == "digital" and len(weight.shape) > 1]
    words = (
        "which experts",
        "made into a table",
        "grouped convolution",
        "depthwise convolution",
        "factor",
        "added to activations",
    )
    kinds = Counter(next((word for word in words if word in weight.reason), weight.reason) for weight in digital)
    del kinds["added to activations"]  # class tokens and positions of image models
    assert kinds == DIGITAL.get(name, {})


def test_samples_come_first(family):
    uses = [use for layer in family[2].document.layers for use in layer.uses]
    assert uses
    if family[0] == "XLNet":  # the one that has the sequence first
        assert {use.sample_axis.dimension for use in uses} == {1}
    else:
        assert all(use.sample_axis == SAMPLES_FIRST for use in uses)


def long_enough(plan):
    """Sizes at which sound is longer than the convolutions that read it."""
    return {"sequence": 4800} if any(record.name == "input_values" for record in plan.document.inputs) else {}


def test_what_a_run_costs_and_which_layers_matter(family):
    """Every call is in the schedule and in the sums; gradients reach every layer that a measurement says matters."""
    _, _, plan = family
    sizes = long_enough(plan)
    cost = tilewright.estimate_cost(plan, sizes)
    assert {layer.name for layer in cost.layers} == {layer.name for layer in plan.document.layers}
    longest = max(layer.latency_ns / len(plan.layer(layer.name).uses) for layer in cost.layers)
    work = sum(part.latency_ns for parts in (cost.layers, cost.attention) for part in parts)
    assert 0 < longest <= cost.latency_ns <= work * (1 + 1e-9)
    assert cost.interval_ns <= work
    inputs = inputs_of(plan.document, 3, 13)
    found = measure_sensitivity(plan, ["divergence", "gradient"], inputs=inputs, samples=3, repeats=1, time="1s")
    gradient = found.of("gradient")
    for key, value in found.of("divergence").items():
        assert (value > 1e-12) == (gradient[key] > 1e-12), key


def test_every_layer_is_counted_at_its_usual_sizes(family):
    found = count_operations(family[2])
    assert set(found.layers) == {layer.name for layer in family[2].document.layers}
    assert all(count > 0 for count in found.layers.values())
    assert found.total > 0


DISTINCT = {
    "BERT", "ALBERT", "DeBERTa-v2", "GPT-2", "Llama", "Mixtral", "DeepSeek-V2", "T5", "BART", "CLIP", "Whisper",
    "Wav2Vec2", "Swin", "ResNet",
}  # fmt: skip
"""Families of which each is mapped in a way of its own; the others are alike one of them. From its config alone Mamba-2
is traced for batches of two and no others, which is said."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in DISTINCT else pytest.mark.slow)
                                  for name in FAMILIES if name != "Mamba-2"])  # fmt: skip
def test_the_config_alone_gives_the_same_places_and_costs(name, family_plan, tmp_path):
    _, plan = family_plan(name)
    config = plan.folder.parent / "model" / "config.json"
    mapped = tilewright.load(tilewright.compile(config, config_only=True).save(tmp_path / "plan"))
    assert not mapped.has_weights
    for layer, expected in zip(mapped.document.layers, plan.document.layers, strict=True):
        assert (layer.name, layer.inputs, layer.outputs) == (expected.name, expected.inputs, expected.outputs)
        assert (layer.parts, layer.tiles, len(layer.uses)) == (expected.parts, expected.tiles, len(expected.uses))
    assert [m.kind for m in mapped.document.matmuls] == [m.kind for m in plan.document.matmuls]
    assert mapped.document.placement == plan.document.placement
    assert [(w.name, w.place) for w in mapped.document.weights_of_model] == [
        (w.name, w.place) for w in plan.document.weights_of_model
    ]
    sizes = long_enough(plan)
    routed = any(use.share < 1 for layer in plan.document.layers for use in layer.uses)  # as often as was seen
    energy = tilewright.estimate_cost(plan, sizes).energy_nj
    assert tilewright.estimate_cost(mapped, sizes).energy_nj == pytest.approx(energy, rel=0.01 if routed else 0)


def test_albert_is_one_set_of_devices_used_in_every_layer(tmp_path):
    build("ALBERT").save_pretrained(tmp_path)
    plan = tilewright.compile(tmp_path)
    shared = [layer for layer in plan.document.layers if len(layer.uses) == 4]
    assert len(shared) == 4
    assert all(len({use.input_range for use in layer.option.uses}) > 1 for layer in shared)


def test_a_shared_head_is_analog_and_its_table_is_named(tmp_path):
    build("GPT-2").save_pretrained(tmp_path)
    plan = tilewright.compile(tmp_path, target="ideal")
    (table,) = [weight for weight in plan.document.weights_of_model if weight.name == "transformer.wte.weight"]
    assert table.place == "analog"
    assert "look-up" in table.reason
    assert table.layers
