"""Networks kept between compilations: the same plan, and traced anew where anything could be another."""

import os
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

import tilewright
from tests.conftest import small_bert_config
from tests.narrowing import present
from tests.networks import lower, stack, traced_network
from tests.onnx_models import model_of
from tilewright.compiler import driver
from tilewright.compiler.cli import main
from tilewright.compiler.frontends import source_key as keys
from tilewright.compiler.network import kept_networks
from tilewright.compiler.steps import LOWERING


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of one's own."""
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def traced(monkeypatch):
    """Models that were traced, in order."""
    seen = []
    real = driver.trace

    def trace(model, *arguments, **options):
        seen.append(model)
        return real(model, *arguments, **options)

    monkeypatch.setattr(driver, "trace", trace)
    return seen


def folder_of(model, folder):
    model.eval().save_pretrained(folder)
    return folder


def equal(one, other):
    assert one.document.model_dump_json() == other.document.model_dump_json()
    assert one.tensors.keys() == other.tensors.keys()
    assert all(value.is_meta or torch.equal(value, other.tensors[name]) for name, value in one.tensors.items())
    assert one.tokenizer_files == other.tokenizer_files


def transposed(folder):
    """A GPT-2, whose matrices are stored transposed, with its table tied to the last one."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1)
    config = GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=60, n_positions=40)
    return folder_of(GPT2LMHeadModel(config), folder)


def with_outliers(folder):
    """A BERT with channels so large that channel scales are folded."""
    from transformers import BertModel

    torch.manual_seed(1)
    model = BertModel(small_bert_config(hidden_size=64, num_attention_heads=2))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight[:3] *= 40
    return folder_of(model, folder)


def images(folder):
    """A network of convolutions."""
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(1)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return folder_of(ResNetModel(config), folder)


@pytest.mark.parametrize("model", [transposed, with_outliers, images])
def test_the_plan_is_the_same_and_nothing_is_traced_again(tmp_path, traced, model):
    folder = model(tmp_path / "model")
    first, again = tilewright.compile(folder), tilewright.compile(folder)
    other = tilewright.compile(folder, "hermes-256", attention_bits=6)
    assert traced == [folder]
    equal(first, again)
    equal(other, tilewright.compile(folder, "hermes-256", attention_bits=6, cache=False))
    assert traced == [folder, folder]
    assert tilewright.doctor().cache_bytes > 1000


def test_another_process_finds_it(small_bert_folder, tmp_path):
    command = [sys.executable, "-m", "tilewright", "compile", str(small_bert_folder), "--json", "-o"]
    results = [subprocess.run([*command, str(tmp_path / name)], capture_output=True, check=True) for name in "ab"]
    assert [b'"traced_earlier": true' in result.stdout for result in results] == [False, True]
    equal(tilewright.load(tmp_path / "a"), tilewright.load(tmp_path / "b"))


def test_the_checked_network_is_traced(small_bert_folder, traced):
    for check in (False, True, False):
        tilewright.compile(small_bert_folder, check=check)
    assert len(traced) == 2


def test_other_samples_and_names_have_other_keys(small_bert_folder):
    samples = {"input_ids": np.arange(12).reshape(2, 6)}
    options: list[dict[str, Any]] = [
        {}, {"config_only": True}, {"name": "mine"}, {"calibration": ["one", "two"]}, {"calibration": ["one two"]},
        {"calibration": samples}, {"calibration": {"input_ids": samples["input_ids"] + 1}},
        {"calibration": {"input_ids": samples["input_ids"].astype(np.int32)}}, {"example_inputs": samples},
    ]  # fmt: skip
    found = [keys.source_key(small_bert_folder, **{"config_only": False} | one) for one in options]
    again = [keys.source_key(str(small_bert_folder), **{"config_only": False} | one) for one in options]
    assert found == again
    assert None not in found
    assert len(set(found)) == len(options)


@pytest.mark.parametrize("changed", ["weight", "config", "name", "code", "version"])
def test_whatever_changes_has_another_key(small_bert_folder, tmp_path, changed, monkeypatch):
    folder = tmp_path / "model"
    shutil.copytree(small_bert_folder, folder)
    before = keys.source_key(folder, config_only=False)
    if changed == "weight":
        content = bytearray((folder / "model.safetensors").read_bytes())
        content[-5] ^= 1
        (folder / "model.safetensors").write_bytes(content)
    elif changed == "config":
        (folder / "config.json").write_text((folder / "config.json").read_text() + " ")
    elif changed == "name":
        folder = folder.rename(tmp_path / "other")
    elif changed == "code":
        monkeypatch.setattr(keys, "_own_code", lambda: iter([small_bert_folder / "config.json"]))
    else:
        monkeypatch.setattr(keys, "_version", lambda package: f"another {package}")
    keys._of_software.cache_clear()
    after = keys.source_key(folder, config_only=False)
    keys._of_software.cache_clear()
    assert None not in (before, after)
    assert before != after


def onnx_file(folder, scale):
    folder.mkdir(exist_ok=True)
    weight = (np.random.default_rng(0).standard_normal((40, 50)) * scale).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = model_of(nodes, {"x": (TensorProto.FLOAT, ["n", 40])}, {"y": (TensorProto.FLOAT, ["n", 50])}, {"w": weight})
    onnx.save(model, folder / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    return folder / "net.onnx"


def test_an_onnx_file_and_its_data(tmp_path, traced):
    path = onnx_file(tmp_path / "net", 1.0)
    equal(tilewright.compile(path), tilewright.compile(str(path)))
    assert len(traced) == 1
    before = path.read_bytes()
    onnx_file(tmp_path / "net", 2.0)
    path.write_bytes(before)  # the weights alone are others
    tilewright.compile(path)
    assert len(traced) == 2


def test_a_module_has_no_key(cache):
    tilewright.compile(torch.nn.Linear(8, 8), example_inputs=torch.randn(2, 8))
    assert not cache.exists()
    assert keys.source_key("net", config_only=False, calibration={"x": object()}) is None


KEY = "5" * 64


@pytest.fixture
def network():
    """A small lowered network."""
    made = traced_network(stack(8, 8), torch.randn(2, 8))
    lower(made, LOWERING)
    made.settle()
    return made


@pytest.mark.parametrize("damage", ["none", "cut", "flipped", "json", "gone", "key"])
def test_what_is_damaged_is_not_found(network, cache, damage):
    kept_networks.keep(network, KEY)
    file = cache / "networks" / KEY / ("tensors.safetensors" if damage in ("cut", "flipped") else "network.json")
    content = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(content[:-100])
    elif damage == "flipped":
        content[-50] ^= 1
        file.write_bytes(content)
    elif damage == "json":
        file.write_bytes(content[:1000])
    elif damage == "gone":
        file.unlink()
    elif damage == "key":
        file.write_bytes(content.replace(KEY.encode(), b"0" * 64))
    assert (kept_networks.find(KEY) is not None) == (damage == "none")
    kept_networks.keep(network, KEY)  # a folder that is not known for ours is left alone
    assert (kept_networks.find(KEY) is not None) == (damage not in ("json", "gone"))


def test_a_cache_that_cannot_be_written_is_no_error(network, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "file"))
    kept_networks.keep(network, KEY)
    assert kept_networks.find(KEY) is None
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("place", "words"),
    [("file", "is a file, not a folder"), ("file/inside", "is a file, not a folder"), ("x" * 300, "too long"),
     ("read-only/inside", "no permission to write in"), ("/proc/nope", "nothing can be made in '/proc'")],
)  # fmt: skip
def test_a_cache_that_cannot_be_written_is_said(place, words, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "read-only").mkdir()
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: "read-only" not in str(path) and may(path, mode))
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / place))
    found = tilewright.doctor()
    assert words in present(found.cache_problem)
    assert found.to_json()["cache_problem"] == found.cache_problem
    assert found.cache_bytes in (0, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "read-only"]


def test_a_cache_that_can_be_made_is_not_made_to_look_at_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "new" / "cache"))
    assert tilewright.doctor().cache_problem is None
    assert tilewright.doctor().cache_limit == 2**34
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("TILEWRIGHT_CACHE", "off")
    assert tilewright.doctor().cache_problem is None


def test_compile_and_doctor_say_that_nothing_is_kept(small_bert_folder, tmp_path, monkeypatch, capsys):
    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["tilewright", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main()
        assert not leaving.value.code
        return capsys.readouterr()

    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "file"))
    options = ["compile", small_bert_folder / "config.json", "--config-only", "-o"]
    err = said(*options, tmp_path / "one").err
    assert err.count("the traced network was not kept: ") == 1
    assert f"{str(tmp_path / 'file')!r} is a file, not a folder; TILEWRIGHT_CACHE=FOLDER keeps it elsewhere" in err
    assert "not kept" not in said(*options, tmp_path / "two", "--no-cache").err
    assert "nothing is kept there" in " ".join(said("doctor").out.split())
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path / "cache"))
    assert "not kept" not in said(*options, tmp_path / "three").err
    assert "MB of at most 16 GB; removing the folder empties it" in " ".join(said("doctor").out.split())


def test_the_oldest_are_removed_and_what_is_not_ours_stays(network, cache, monkeypatch):
    (cache / "networks" / "mine").mkdir(parents=True)
    (cache / "networks" / "mine" / "notes").write_text("mine")
    kept_networks.keep(network, KEY)
    first = cache / "networks" / KEY
    os.utime(first, (1, 1))
    monkeypatch.setattr(kept_networks, "MOST_KEPT", 1.5 * sum(path.stat().st_size for path in first.rglob("*")))
    kept_networks.keep(network, "6" * 64)
    assert sorted(path.name for path in (cache / "networks").iterdir()) == ["6" * 64, "mine"]
    monkeypatch.setattr(kept_networks, "LARGEST_NETWORK", 1)
    kept_networks.keep(network, "7" * 64)
    assert kept_networks.find("7" * 64) is None
