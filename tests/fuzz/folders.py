"""HuggingFace folders with changed configs, weights, tokenizers and modules, through compile."""

import contextlib
import json
import random
import shutil
import struct

import numpy as np

import tilewright
from tests.fuzz import bases, hostile, trees
from tests.fuzz.child import caught_output
from tests.fuzz.program import refused
from tests.fuzz.weights import change_json, weights
from tilewright.targets.errors import InputError

BASES = ("bert", "bert", "gpt2", "llama", "vit", "sentence", "sentence")
CONFIG_ONLY = 0.2
"""Part that is compiled from its config alone."""
ARCHITECTURES = (
    "BertModel",
    "BertForMaskedLM",
    "GPT2Model",
    "LlamaModel",
    "T5Model",
    "Trainer",
    "pipeline",
    "nothing",
    "",
)
TYPES = ("bert", "gpt2", "llama", "vit", "t5", "mamba", "roberta", "deberta", "auto", "nothing", "")


def warm():
    for name in ("bert", "gpt2"):
        with caught_output():
            tilewright.compile(bases.models()[name])


def run(seed, folder):
    choose = random.Random(f"folders {seed}")
    base = choose.choice(BASES)
    model = folder / "model"
    shutil.copytree(bases.models()[base], model)
    for _ in range(choose.choice((1, 1, 1, 2))):
        change = choose.choices(list(CHANGES), list(CHANGES.values()))[0]
        with contextlib.suppress(
            ValueError, TypeError, KeyError, AttributeError, OSError
        ):  # of a file that one before damaged
            change(model, choose)
    try:
        plan = tilewright.compile(model, config_only=choose.random() < CONFIG_ONLY)
        if not plan.has_weights:
            return "compiled"
        inputs = {}
        for record in plan.document.inputs:
            shape = [2 if isinstance(size, str) else size for size in record.shape]
            if np.prod(shape, dtype=float) > 10**6:
                return "compiled"
            inputs[record.name] = np.ones(shape, np.float32 if "float" in record.dtype else np.int64)
        tilewright.Session(plan, seed=0).run(inputs)
    except InputError as error:
        refused(error)
        return "refused"
    return "ran"


def _config(model, choose):
    """Changes anywhere, with more of numbers, which often still make a model."""
    path = model / "config.json"
    content = json.loads(path.read_text())
    kind = choose.randrange(10)
    if kind == 0:
        content["architectures"] = choose.choice(([choose.choice(ARCHITECTURES)], [1], 1, [], [[]], {}, None))
    elif kind == 1:
        content["model_type"] = choose.choice(TYPES)
    elif kind < 6:
        numbers = [key for key, value in content.items() if isinstance(value, int) and not isinstance(value, bool)]
        for key in choose.sample(numbers, min(len(numbers), choose.choice((1, 1, 2)))):
            content[key] = choose.choice((0, 1, 2, 3, content[key] * 2, content[key] + 1, -1, 10**9, 2**40, 1.5))
    elif kind == 6:
        key = choose.choice(
            ("hidden_act", "dtype", "quantization_config", "auto_map", "rope_scaling", "attn_implementation")
        )
        content[key] = choose.choice(
            ("gelu", "nothing", "float16", {"quant_method": "bitsandbytes"}, hostile.anything(choose))
        )
    else:
        trees.edit(content, choose)
    path.write_text(json.dumps(content), errors="surrogatepass")


def _weights(model, choose):
    path = model / "model.safetensors"
    if path.exists():
        path.write_bytes(weights(path.read_bytes(), choose))


def _sharded(model, choose):
    """An index before the weights, right or not."""
    path = model / "model.safetensors"
    if not path.exists():
        return
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    try:
        names = [name for name in json.loads(content[8 : 8 + length]) if name != "__metadata__"]
    except ValueError:
        return
    path.rename(model / "model-00001-of-00001.safetensors")
    index = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}
    for _ in range(choose.choice((0, 1, 2))):
        trees.edit(index, choose)
    (model / "model.safetensors.index.json").write_text(json.dumps(index), errors="surrogatepass")


def _other_json(model, choose):
    """Tokenizers, modules, pooling: whatever other JSON is there."""
    files = [path for path in sorted(model.rglob("*.json")) if path.name != "config.json" or path.parent != model]
    if files:
        change_json(choose.choice(files), choose)


def _file(model, choose):
    """A file that is missing, empty, a folder, damaged or too many."""
    path = choose.choice([path for path in sorted(model.rglob("*")) if path.is_file()])
    match choose.randrange(5):
        case 0:
            path.unlink()
        case 1:
            path.write_bytes(b"")
        case 2:
            path.unlink()
            path.mkdir()
        case 3:
            path.write_bytes(trees.damage(path.read_bytes(), choose))
        case 4:
            (model / choose.choice(("pytorch_model.bin", "modeling_x.py", "vocab.txt", "merges.txt"))).write_bytes(
                b"\x80\x04x."
            )


CHANGES = {_config: 45, _weights: 20, _sharded: 8, _other_json: 17, _file: 10}
