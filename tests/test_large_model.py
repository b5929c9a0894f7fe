"""BERT-base from a folder: what memory compiling takes. Run with `make test-slow`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "compiling.py"


@pytest.mark.slow
def test_compiling_bert_base_takes_less_than_three_times_its_size(tmp_path):
    from transformers import BertConfig, BertModel

    BertModel(BertConfig()).save_pretrained(tmp_path / "model")
    done = subprocess.run([sys.executable, BENCHMARK, tmp_path / "model"], check=True, capture_output=True, text=True)
    result = json.loads(done.stdout)
    assert result["model_MB"] > 400
    assert result["above_importing_torch_in_model_sizes"] < 3, result
