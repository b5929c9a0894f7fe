"""Plans of a model's config alone: no weights are read, and none are there to run."""

import json

import pytest
import torch
from rich.console import Console
from torch import nn
from transformers import BertConfig, LlamaConfig

import tilewright
from tilewright.compiler.report.html import report_page
from tilewright.compiler.report.summary import summarise
from tilewright.compiler.report.terminal import print_report
from tilewright.targets.errors import InputError

SMALL = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 200,
}  # fmt: skip


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("config") / "small-llama"
    LlamaConfig(**SMALL, num_key_value_heads=2, architectures=["LlamaForCausalLM"]).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def plan(config):
    return tilewright.compile(config, config_only=True)


def test_it_has_places_costs_and_a_report_and_no_numbers(plan, tmp_path):
    assert not plan.has_weights
    assert all(tensor.is_meta for tensor in plan.tensors.values())
    folder = plan.save(tmp_path / "plan")
    assert not (folder / "weights.safetensors").exists()
    again = tilewright.load(folder)
    assert again.document == plan.document
    assert not again.has_weights
    assert tilewright.estimate_cost(again).energy_nj > 0
    assert tilewright.count_operations(again).on_tiles > 0
    report = summarise(again)
    assert any("config alone" in warning for warning in report.warnings)
    assert "config alone" in report_page(report)
    assert "nan" not in json.dumps(report.to_json()["layers"]).lower()


def test_ranges_are_unknown_and_nothing_was_verified(plan):
    assert all(use.input_range is None for layer in plan.document.layers for use in layer.option.uses)
    assert not plan.document.verification
    assert plan.document.calibration.samples == 0
    console = Console(width=200, record=True)
    print_report(summarise(plan), console)
    assert "verified" not in console.export_text()


@pytest.mark.parametrize(
    "use",
    [
        tilewright.Session,
        tilewright.measure_sensitivity,
        lambda plan: tilewright.evaluate(plan, "stsb", "nowhere"),
    ],
)
def test_what_needs_numbers_is_refused(plan, use):
    with pytest.raises(InputError, match="made from a config alone and has no weights to run"):
        use(plan)


def test_a_plan_without_numbers_cannot_claim_more(plan, tmp_path):
    folder = plan.save(tmp_path / "plan")
    content = json.loads((folder / "plan.json").read_text())
    name = next(iter(content["tensors"]))
    for change, words in (({"dtype": "object"}, "is object"), ({"shape": [2, 2]}, "shape")):
        changed = json.loads(json.dumps(content))
        changed["tensors"][name].update(change)
        (folder / "plan.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=words):
            tilewright.load(folder)


def test_a_model_larger_than_any_memory(tmp_path):
    """400 billion parameters in two layers."""
    config = LlamaConfig(
        hidden_size=2**17, intermediate_size=2**18, num_hidden_layers=2, num_attention_heads=1024, vocab_size=2**18,
        num_key_value_heads=8, architectures=["LlamaForCausalLM"],
    )  # fmt: skip
    config.save_pretrained(tmp_path / "model")
    plan = tilewright.compile(tmp_path / "model" / "config.json", config_only=True)
    assert plan.document.model.parameters > 3e11
    assert plan.document.placement.tiles > 1_000_000
    report = summarise(tilewright.load(plan.save(tmp_path / "plan")))
    assert not report.blocks
    assert report.tiles == plan.document.placement.tiles
    assert (tmp_path / "plan" / "plan.json").stat().st_size < 2**20


def test_a_module_on_the_meta_device():
    with torch.device("meta"):
        network = nn.Sequential(nn.Linear(600, 700), nn.ReLU(), nn.Linear(700, 10)).eval()
    plan = tilewright.compile(network, example_inputs=torch.randn(4, 600))
    assert not plan.has_weights
    assert [layer.tile_count for layer in plan.document.layers] == [4, 2]


def test_tied_weights_are_one_layer(tmp_path):
    config = BertConfig(**SMALL, architectures=["BertForMaskedLM"])
    config.save_pretrained(tmp_path)
    plan = tilewright.compile(tmp_path, config_only=True)
    (head,) = [layer for layer in plan.document.layers if layer.outputs == 200]
    assert head.parts[0].weight == "bert.embeddings.word_embeddings.weight"


def test_a_chip_of_several_targets_offers_them_all(config):
    plan = tilewright.compile(config, "pcm-512-mixed", config_only=True)
    assert all(len(layer.options) > 1 for layer in plan.document.layers)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"check": True}, "check needs the model's weights"),
        ({"calibration": ["a text"]}, "calibration needs the model's weights"),
    ],
)
def test_options_that_need_weights(config, options, words):
    with pytest.raises(InputError, match=words):
        tilewright.compile(config, config_only=True, **options)


def test_other_models_are_refused():
    with pytest.raises(InputError, match=r"not a Linear.*meta"):
        tilewright.compile(nn.Linear(2, 2), config_only=True, example_inputs=torch.randn(2, 2))
    with pytest.raises(InputError, match="not an ONNX model"):
        tilewright.compile("model.onnx", config_only=True)


def test_a_config_that_makes_no_model(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "llama", "hidden_size": 33, "architectures": ["LlamaModel"]}))
    with pytest.raises(InputError, match="not a model that transformers can read"):
        tilewright.compile(path, config_only=True)


def test_a_channel_scale_without_numbers_is_not_looked_at(plan, tmp_path):
    folder = plan.save(tmp_path / "plan")
    content = json.loads((folder / "plan.json").read_text())
    layer = content["layers"][0]
    layer["options"][0]["has_channel_scale"] = True
    scale = {"stored_as": "scale", "dtype": "float32", "shape": [layer["inputs"]]}
    content["tensors"][f"on_tiles.{layer['name']}.channel_scale"] = scale
    (folder / "plan.json").write_text(json.dumps(content))
    assert tilewright.load(folder).document.layers[0].option.has_channel_scale
