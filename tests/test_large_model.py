"""Models of real size: what memory compiling and running them takes. Run with `make test-slow`. Linux."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.slow


def printed(script, *arguments):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def test_compiling_bert_base_takes_its_size_and_a_gigabyte():
    result = printed("compiling.py", "bert-base")
    assert result["float32_MB"] > 400
    assert result["above_torch_MB"] < result["float32_MB"] + 1024, result


def test_a_model_of_a_billion_parameters_compiles_in_less_than_its_size():
    result = printed("compiling.py", "tinyllama", "--dtype", "bfloat16")
    assert result["float32_MB"] > 4000
    assert result["compile"]["peak_MB"] < 4000, result


def test_a_running_session_takes_less_than_twice_its_weights():
    result = printed("inference.py", "bert-base", "--runs", 2, "--batch", 8)
    assert result["session_in_sizes"] < 2, result


@pytest.mark.parametrize("name", ["llama-8b", "llama-405b"])
def test_a_config_of_any_size_is_mapped_in_two_gigabytes(name, tmp_path):
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from growth import config_only
    finally:
        sys.path.remove(str(BENCHMARKS))
    result = config_only(name, tmp_path)
    assert result["parameters"] > 8e9, result
    assert result["peak_MB"] < 2048, result
