"""The runtime in a fresh process that can import neither the compiler, nor transformers, nor onnx."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import tilewright
from tests.conftest import padded_batch, small_bert_config

SCRIPT = """
import sys
for name in ("transformers", "onnx", "tilewright.compiler"):
    sys.modules[name] = None  # as if it was not installed
import numpy as np
from tilewright import Session, load
for plan_folder, inputs, outputs in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3]):
    plan = load(plan_folder)
    session = Session(plan).advance_to("1mo")
    with np.load(inputs) as file:
        batches = {}
        for key in file.files:
            number, name = key.split("/")
            batches.setdefault(number, {})[name] = file[key]
    results = {}
    for number, batch in batches.items():
        for name, value in session(batch).items():
            results[number + "/" + name] = value.numpy()
    np.savez(outputs, **results)
loaded = [name for name, module in sys.modules.items() if module is not None]
assert not any(name.startswith(("tilewright.compiler", "transformers", "onnx")) for name in loaded)
"""

SIZES = [(1, 5), (2, 16), (3, 33)]


def save_batches(path, vocabulary):
    batches = [padded_batch(batch, length, vocabulary) for batch, length in SIZES]
    arrays = {f"{n}/{key}": value.numpy() for n, batch in enumerate(batches) for key, value in batch.items()}
    np.savez(path, allow_pickle=False, **arrays)
    return batches


@pytest.fixture(scope="module")
def models(minilm_folder):
    from transformers import AutoModel, BertModel

    torch.manual_seed(1)
    return {
        "minilm": AutoModel.from_pretrained(minilm_folder).eval(),
        "small": BertModel(small_bert_config()).eval(),
        "other": BertModel(small_bert_config(hidden_size=96, num_hidden_layers=3, num_attention_heads=6)).eval(),
    }


def test_plans_on_the_ideal_target_are_the_model_in_a_process_without_the_compiler(models, tmp_path):
    arguments = []
    expected = {}
    for name, model in models.items():
        model.save_pretrained(tmp_path / name)
        plan = tilewright.compile(tmp_path / name, target="ideal")
        plan.save(tmp_path / f"{name}-plan")
        batches = save_batches(tmp_path / f"{name}-in.npz", model.config.vocab_size)
        with torch.inference_mode():
            expected[name] = [model(**batch) for batch in batches]
        arguments += [tmp_path / f"{name}-plan", tmp_path / f"{name}-in.npz", tmp_path / f"{name}-out.npz"]
    subprocess.run([sys.executable, "-c", SCRIPT, *map(str, arguments)], check=True, cwd=tmp_path)
    for name in models:
        with np.load(tmp_path / f"{name}-out.npz") as outputs:
            for number, reference in enumerate(expected[name]):
                for key in ("last_hidden_state", "pooler_output"):
                    exact = reference[key].numpy()
                    error = np.abs(outputs[f"{number}/{key}"] - exact).max() / np.abs(exact).max()
                    assert error < 1e-4, (name, number, key, error)
