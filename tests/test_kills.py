"""Real commands, stopped at random moments: nothing that was there is lost, and the next run goes on."""

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from torch import nn

import tilewright
from tests.narrowing import present
from tests.onnx_models import tensorflow_style
from tilewright.runtime.measuring.measurements import MeasurementLog, read_measurements

OFTEN = pytest.mark.parametrize("times", [3, pytest.param(60, marks=pytest.mark.slow)])
BEGUN = 0.02
"""Seconds of processor time after which a forked child is in the program: what comes before is not tilewright's."""
SIGNALS = [signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGHUP]


class Commands:
    """Runs commands one after another in children of a process that has imported all."""

    def __init__(self):
        server = [sys.executable, str(Path(__file__).with_name("command_server.py"))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            server, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __call__(self, folder, *arguments, moment=None, number=0):
        """Exit code (negative: the signal that ended it) and seconds of processor time."""
        order = {"folder": str(folder), "arguments": list(map(str, arguments)), "moment": moment, "signal": number}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        answer = json.loads(present(self.process.stdout).readline())
        return answer["code"], answer["seconds"]

    def close(self):
        present(self.process.stdin).close()
        assert self.process.wait() == 0


@pytest.fixture(scope="module")
def commands():
    made = Commands()
    yield made
    made.close()


@pytest.fixture(scope="module")
def mixed():
    """Two layers that have a choice of targets."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 6)).eval()
    return tilewright.compile(network, "pcm-512-mixed", example_inputs={"input": torch.randn(8, 12)})


@pytest.fixture
def folder(mixed, tmp_path):
    """A working folder with a plan, in which its user has notes."""
    mixed.save(tmp_path / "plan")
    (tmp_path / "plan" / "notes.txt").write_text("mine")
    np.savez(tmp_path / "inputs.npz", input=np.random.default_rng(0).standard_normal((4, 12)).astype(np.float32))
    return tmp_path


def hidden(folder):
    return [str(path) for path in folder.rglob(".*")]


def stop_often(commands, folder, arguments, times, check):
    """Run a command to its end, then stop it at random moments, checking each time, then to its end again."""
    code, seconds = commands(folder, *arguments)
    assert code == 0, (folder / "stderr").read_text()
    check()
    draws = random.Random(str(arguments[0]))
    ends = set()
    for turn in range(times):
        number = SIGNALS[turn % len(SIGNALS)]
        code, _ = commands(folder, *arguments, moment=draws.uniform(BEGUN, seconds), number=number)
        said = (folder / "stderr").read_text()
        ends.add(code)
        assert "Traceback" not in said, said
        if number != signal.SIGKILL:
            assert code in (0, 130), said
            assert code == 0 or said.splitlines()[-1] == "interrupted: nothing half-done was left"
        check()
    assert ends & {130, -signal.SIGKILL}
    assert commands(folder, *arguments)[0] == 0
    check()
    assert hidden(folder) == []


@OFTEN
def test_compile(commands, folder, times):
    onnx.save(tensorflow_style(), folder / "model.onnx")

    def check():
        tilewright.load(folder / "plan")
        assert (folder / "plan" / "notes.txt").read_text() == "mine"

    stop_often(commands, folder, ["compile", "model.onnx", "-o", "plan", "--force"], times, check)


@OFTEN
def test_assign(commands, folder, times):
    def check():
        for name in ("plan", "new"):
            tilewright.load(folder / name)
            MeasurementLog(folder / name / "sensitivity.jsonl", {})
        assert (folder / "plan" / "notes.txt").read_text() == "mine"

    options = ["assign", "plan", "-o", "new", "--force", "--inputs", "inputs.npz", "--repeats", "1", "--samples", "4"]
    stop_often(commands, folder, options, times, check)


@OFTEN
def test_sensitivity(commands, folder, times):
    log = folder / "plan" / "sensitivity.jsonl"
    options = ["sensitivity", "plan", "--inputs", "inputs.npz", "--repeats", "1", "--samples", "4"]
    commands(folder, *options)
    expected = log.read_bytes()

    def check():
        MeasurementLog(log, {"plan": "x"})
        tilewright.load(folder / "plan")
        if commands(folder, *options)[0] == 0:
            assert log.read_bytes() == expected
        log.write_bytes(expected[: len(expected) // 2])

    stop_often(commands, folder, options, times, check)


@OFTEN
def test_report(commands, folder, times):
    page = folder / "page.html"
    commands(folder, "report", "plan", "-o", page)
    expected = page.read_bytes()

    def check():
        assert page.read_bytes() == expected

    stop_often(commands, folder, ["report", "plan", "-o", page, "--force"], times, check)


@OFTEN
def test_evaluate(commands, small_plan, tmp_path, times):
    words = {word: number for number, word in enumerate(["?", "a", "b", "c", "d"])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    files = {"tokenizer.json": tokenizer.to_str().encode()}
    replace(small_plan, tokenizer_files=files).save(tmp_path / "plan")
    rows = ["sentence1\tsentence2\tscore", "a\tb\t1", "a b\ta c\t4", "c d\td\t2", "a a\tc\t0"]
    (tmp_path / "data.tsv").write_text("\n".join(rows))
    log, kept = tmp_path / "log.jsonl", tmp_path / "plan" / "evaluations.jsonl"
    options = [
        "evaluate",
        "plan",
        "--data",
        "data.tsv",
        "--times",
        "1s,1mo",
        "--repeats",
        "2",
        "--results",
        "log.jsonl",
    ]
    assert commands(tmp_path, *options)[0] == 0, (tmp_path / "stderr").read_text()
    expected, found = log.read_bytes(), json.loads(kept.read_text())
    log.unlink()

    def check():
        MeasurementLog(log, {"plan": "x"})
        assert not log.exists() or expected.startswith(log.read_bytes())
        tilewright.load(tmp_path / "plan")
        assert all(json.loads(line) == found for line in kept.read_text().splitlines())
        if len(list(read_measurements(log))) == 5:
            log.unlink()

    stop_often(commands, tmp_path, options, times, check)
