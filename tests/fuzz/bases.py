"""Bases that mutants are made from: small plans and models, made once for each state of the code."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
)

import tilewright
from tests.fuzz.verdict import PACKAGE
from tilewright.compiler.sensitivity import measure_sensitivity
from tilewright.runtime.measuring.kept_evaluations import keep_evaluation
from tilewright.runtime.measuring.measurements import MeasurementLog

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 50}
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "cat", "dog", "sat", "on", "mat", "##s", ".")


class Perceptron(nn.Module):
    """An embedding and two layers."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.e = nn.Linear(12, 16), nn.Linear(16, 6), nn.Embedding(10, 12)

    def forward(self, ids):
        return torch.softmax(self.b(torch.relu(self.a(self.e(ids)))), -1)


class Pictures(nn.Module):
    """Convolutions, a batch norm, a layer."""

    def __init__(self):
        super().__init__()
        self.c, self.b, self.d = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Conv2d(8, 12, 3, stride=2)
        self.f = nn.Linear(12 * 3 * 3, 10)

    def forward(self, x):
        return self.f(torch.relu(self.d(self.b(torch.relu(self.c(x))))).flatten(1))


def one_thread():
    """A process that forks must have no other threads."""
    torch.set_num_threads(1)


@cache
def code_sha256():
    """The state of tilewright's own source and of this file, which makes the bases."""
    hashed = hashlib.sha256()
    files = [path for folder in PACKAGE.iterdir() if folder.is_dir() for path in sorted(folder.rglob("*"))]
    for path in (*files, Path(__file__)):
        if path.suffix in (".py", ".yaml", ".j2", ".js", ".css"):
            hashed.update(f"{path.name}\0".encode() + path.read_bytes())
    return hashed.hexdigest()[:16]


def _made_once(name, make):
    """The folder of that name, filled by ``make(folder)`` if this state of the code has none yet."""
    place = Path(tempfile.gettempdir()) / f"tilewright-fuzz-bases-{os.getuid()}" / code_sha256()
    folder = place / name
    if not folder.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=place))
        make(unfinished)
        with contextlib.suppress(OSError):  # another process was first
            unfinished.rename(folder)
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


FROZEN = Path(__file__).parents[1] / "frozen"
"""Plans of older versions, which loading makes anew."""


@cache
def plans():
    """Name -> folder of a plan."""
    folder = _made_once("plans", _make_plans)
    older = {path.parent.name: path for path in sorted(FROZEN.glob("v*/attention"))}
    return {path.name: path for path in sorted(folder.iterdir())} | older


@cache
def models():
    """Name -> HuggingFace folder of a tiny model."""
    folder = _made_once("models", _make_models)
    return {path.name: path for path in sorted(folder.iterdir())}


def _make_plans(folder):
    torch.manual_seed(0)
    ids, perceptron = {"ids": torch.randint(0, 10, (2, 5))}, Perceptron().eval()
    made = {
        name: tilewright.compile(perceptron, target, example_inputs=ids, name=name)
        for name, target in (("mlp", "pcm-512"), ("mixed", "pcm-512-mixed"), ("hermes", "hermes-256"))
    }
    made["cnn"] = tilewright.compile(Pictures().eval(), example_inputs={"x": torch.randn(2, 3, 8, 8)}, name="cnn")
    made["bert"] = tilewright.compile(models()["bert"])
    made["config"] = tilewright.compile(models()["bert"], "pcm-512-mixed", config_only=True)
    for name, plan in made.items():
        plan.save(folder / name)
    _keep_measurements(made["mixed"])


def _keep_measurements(plan):
    """Files beside a plan, as sensitivity, evaluate and assign write them."""
    measure_sensitivity(plan, ("weight-error", "divergence"), inputs={"ids": np.zeros((2, 5), np.int64)}, repeats=1)
    point = {"time": "1h", "seconds": 3600.0, "mean": 81.5, "standard_error": 0.25, "values": [81.25, 81.75]}
    evaluation = {"task": "stsb", "metric": "Spearman", "digital": 82.5, "examples": 10, "repeats": 2, "seed": 0}
    keep_evaluation(plan, {**evaluation, "drift_compensation": True, "points": [point]})
    log = MeasurementLog(plan.folder / "accuracy.jsonl", {"data": "0" * 64, "seconds": 3600.0})
    log.measure({"plan": plan.sha256, "digital": True}, lambda: 82.5)
    log.measure({"plan": plan.sha256, "seed": 0, "repeat": 0}, lambda: 81.5)


def _make_models(folder):
    torch.manual_seed(0)
    bert = BertConfig(**TINY, max_position_embeddings=32)
    made = {
        "bert": BertModel(bert),
        "sentence": BertModel(bert),
        "gpt2": GPT2LMHeadModel(GPT2Config(
            vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=0, eos_token_id=1
        )),
        "llama": LlamaForCausalLM(LlamaConfig(**TINY, num_key_value_heads=1, max_position_embeddings=32)),
        "vit": ViTForImageClassification(ViTConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=16,
            patch_size=8,
        )),
    }  # fmt: skip
    for name, model in made.items():
        model.eval().save_pretrained(folder / name)
    for name in ("bert", "sentence"):
        _tokenizer().save_pretrained(folder / name)
    _as_sentence_transformer(folder / "sentence")


def _tokenizer():
    tokenizer = Tokenizer(WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token="[MASK]", model_max_length=32, **special)


def _as_sentence_transformer(folder):
    """The files of a sentence encoder around a model: modules, pooling, a dense layer of its own that is not named."""
    kinds = {"0": ("", "Transformer"), "1": ("1_Pooling", "Pooling"), "2": ("2_Normalize", "Normalize")}
    modules = [
        {"idx": int(idx), "name": idx, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for idx, (path, kind) in kinds.items()
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 32, "do_lower_case": False}))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (folder / "2_Normalize").mkdir()
