"""A folder's files against its config: nothing random, nothing dropped in silence, nothing larger than it may be."""

import json
import shutil
import time

import pytest
import torch
import transformers
from rich.console import Console
from safetensors.torch import load_file, save_file

import tilewright
from tests.conftest import small_bert_config
from tilewright.compiler.frontends import config_limits
from tilewright.compiler.frontends.huggingface_model import (
    architecture_of,
    load_config,
    load_model,
    model_without_weights,
)
from tilewright.compiler.report.html import report_page
from tilewright.compiler.report.markdown import markdown
from tilewright.compiler.report.terminal import print_report
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import UnusedTensor
from tilewright.targets.errors import InputError


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "bert"
    transformers.BertModel(small_bert_config(num_hidden_layers=1)).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(bert, tmp_path):
    return shutil.copytree(bert, tmp_path / "model")


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def loaded(folder):
    config = load_config(transformers, folder, config_only=False)
    return load_model(architecture_of(transformers, folder, config), folder, config)


def test_missing_weights_are_named(folder):
    change_weights(folder, lambda weights: weights.pop("encoder.layer.0.output.dense.weight"))
    with pytest.raises(InputError, match=r"lack 1 that BertModel has: encoder\.layer\.0\.output\.dense\.weight; "):
        tilewright.compile(folder)


def test_a_head_without_weights_names_the_architecture_that_fits(folder):
    change_config(folder, architectures=["BertForSequenceClassification"])
    with pytest.raises(InputError, match=r"lack 2 .*classifier\.weight, classifier\.bias; .*name BertModel"):
        tilewright.compile(folder)


def test_weights_of_another_shape_are_named(folder):
    change_weights(folder, lambda weights: weights.update({"pooler.dense.bias": torch.ones(7)}))
    with pytest.raises(InputError, match=r"pooler\.dense\.bias has shape \[7\], BertModel takes \[64\]"):
        loaded(folder)


def test_statistics_of_a_norm_are_weights(tmp_path):
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8], depths=[1], layer_type="basic", architectures=["ResNetModel"]
    )
    transformers.ResNetModel(config).save_pretrained(tmp_path)
    change_weights(tmp_path, lambda weights: weights.pop("embedder.embedder.normalization.running_var"))
    with pytest.raises(InputError, match="running_var"):
        loaded(tmp_path)


def test_what_belongs_to_no_layer_is_kept_in_mind(folder):
    extra = {"encoder.layer.0.output.dense.channel_scale": torch.tensor([3.0]), "cls.predictions.bias": torch.ones(200)}
    change_weights(folder, lambda weights: weights.update(extra))
    found = {tensor.name: tensor.shape for tensor in loaded(folder).unused_tensors}
    assert found == {"encoder.layer.0.output.dense.channel_scale": [1], "cls.predictions.bias": [200]}


def test_an_encoder_stored_without_its_pooler_has_none(folder):
    change_weights(folder, lambda weights: [weights.pop(f"pooler.dense.{part}") for part in ("weight", "bias")])
    found = loaded(folder)
    assert found.model.pooler is None
    assert "without it" in found.notes[0]
    assert not found.unused_tensors


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(folder, value):
    change_weights(folder, lambda weights: weights["embeddings.word_embeddings.weight"][3, :2].fill_(value))
    with pytest.raises(InputError, match=r"weight 'embeddings\.word_embeddings\.weight' has 2 of 12800 values"):
        tilewright.compile(folder)


HOSTILE = [
    ({"architectures": [1]}, "architectures is"),
    ({"architectures": "BertModel"}, "architectures is"),
    ({"architectures": ["logging"]}, "has architecture 'logging', which .* allowed: .*BertModel"),
    ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000; allowed are numbers up to 65536"),
    ({"num_labels": 10**9}, "num_labels is 1000000000"),
    ({"num_hidden_layers": 40_000}, "more than 500 modules|more than .* parameters"),
    ({"hidden_size": 10**12}, "makes a model|does not make a model|makes a weight|not a model"),
    ({"vocab_size": 10**12}, r"makes a weight of shape \[1000000000000, 64\]"),
    ({"max_position_embeddings": 10**12}, "makes a weight|makes tables"),
    ({"intermediate_size": 10**400}, "config"),
]


def loaded_without_weights(folder):
    config = load_config(transformers, folder, config_only=True)
    return model_without_weights(architecture_of(transformers, folder, config), folder, config)


@pytest.mark.parametrize(("changes", "words"), HOSTILE)
def test_a_config_may_ask_for_no_more_than_a_model(folder, monkeypatch, changes, words):
    monkeypatch.setattr(config_limits, "MOST_MODULES", 500)
    change_config(folder, **changes)
    started = time.process_time()
    for load in (loaded_without_weights, loaded):
        with pytest.raises(InputError, match=words):
            load(folder)
    assert time.process_time() - started < 20


def test_a_config_larger_than_its_weights(folder):
    change_config(folder, intermediate_size=2**20)
    with pytest.raises(InputError, match=r"more than .* parameters; its files hold weights for no more"):
        loaded(folder)


@pytest.mark.parametrize("content", ["[]", "3", "{", "[" * 10**5, '{"a":' * 10**5, " " * (2**24 + 1)])
def test_a_config_that_is_none(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json"):
        load_config(transformers, tmp_path, config_only=True)


def test_the_largest_real_models_are_allowed(tmp_path):
    """Llama-3.1-405B, by its config."""
    transformers.LlamaConfig(
        hidden_size=16384, intermediate_size=53248, num_hidden_layers=126, num_attention_heads=128, vocab_size=128256,
        num_key_value_heads=8, max_position_embeddings=131072, architectures=["LlamaForCausalLM"],
    ).save_pretrained(tmp_path)  # fmt: skip
    config = load_config(transformers, tmp_path, config_only=True)
    model = model_without_weights(architecture_of(transformers, tmp_path, config), tmp_path, config)
    assert sum(parameter.numel() for parameter in model.model.parameters()) > 4e11


def test_reports_say_what_no_part_of_the_network_is_made_of(small_plan):
    unused = [UnusedTensor(name=f"lm_head.{number}", shape=[3, number]) for number in range(5)]
    plan = Plan(small_plan.document.model_copy(update={"unused_tensors": unused}), small_plan.tensors)
    report = tilewright.summarise(plan)
    (warning,) = [text for text in report.warnings if "lm_head" in text]
    assert "hold 5 tensors" in warning
    assert "lm_head.2, ...)" in warning
    assert report.to_json()["unused_tensors"][4] == {"name": "lm_head.4", "shape": [3, 4]}
    console = Console(width=200, record=True)
    print_report(report, console, every_weight=True)
    assert "lm_head.4" in console.export_text()
    assert "lm_head.4" not in warning
    for text in (report_page(report), markdown(report)):
        assert "lm_head.2" in text
