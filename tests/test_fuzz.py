"""A slice of the fuzzer's mutants: none falls but those that are made to, each of which is pinned and survived."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
COUNTS = {
    "plans": 130,
    "weights": 30,
    "kept": 15,
    "arrays": 40,
    "targets": 60,
    "settings": 40,
    "onnx": 150,
    "folders": 3,
    "adapters": 60,
    "faults": 10,
}
FAULTS = {
    2: "KeyError",
    3: "SIGABRT",
    4: "too slow",
    5: "hang",
    6: "memory",
    7: "memory",
    8: "control characters",
    9: "left with code 7",
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Kind -> (mutants that were tried, those that fell) of one run over all kinds."""
    path = tmp_path_factory.mktemp("fuzz") / "results.jsonl"
    counts = ",".join(f"{kind}={count}" for kind, count in COUNTS.items())
    command = [sys.executable, "-m", "tests.fuzz", "--count", counts, "--kinds", ",".join(COUNTS), "--jobs", "2"]
    done = subprocess.run(
        [*command, "--results", path], cwd=ROOT, env={**os.environ, "TMPDIR": str(path.parent)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr  # the faults fell
    assert "Traceback" not in done.stderr, done.stdout + done.stderr
    print(done.stdout)
    found: dict[str, list[Any]] = {kind: [0, {}] for kind in COUNTS}
    for line in map(json.loads, path.read_text().splitlines()):
        found[line["kind"]][0] += sum(last - first + 1 for first, last in line["seeds"])
        found[line["kind"]][1] |= {verdict["seed"]: verdict for verdict in line["fell"]}
    return found


@pytest.mark.parametrize("kind", [kind for kind in COUNTS if kind != "faults"])
def test_nothing_falls(results, kind):
    tried, fell = results[kind]
    assert tried == COUNTS[kind]
    assert not fell, "\n".join(f"{kind}:{seed} {verdict['fell']} {verdict['place']}" for seed, verdict in fell.items())


def test_every_way_to_fall_is_pinned_and_survived(results):
    tried, fell = results["faults"]
    assert tried == COUNTS["faults"]
    assert {seed: verdict["fell"] for seed, verdict in fell.items()} == FAULTS
    assert all("faults.py" in fell[seed]["place"] for seed in (2, 3, 4, 5))
