"""Mishaps while chips are measured on workers: a full disk, a changed plan, two runs on one log. Nothing is lost."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest
import torch

import tilewright
from tests import lora_adapters
from tests.runtime.measuring.test_workers import TIMES, found
from tilewright.runtime.measuring import sent_plan
from tilewright.runtime.measuring.measurements import measurements_in
from tilewright.targets.errors import InputError

INPUTS = {"x": lora_adapters.inputs()}
EVALUATION = """
import sys
from pathlib import Path
from tests.runtime.measuring.test_workers import found
import tilewright

if __name__ == "__main__":
    print(found(tilewright.load(sys.argv[1]), workers=2, results=Path(sys.argv[2])))
"""


@pytest.fixture
def folder(tmp_path):
    plan = tilewright.compile(lora_adapters.Classifier().eval(), example_inputs=INPUTS)
    return plan.save(tmp_path / "plan")


def whole_lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def begun(folder, log):
    """Another process that evaluates on workers."""
    script = log.parent / "evaluation.py"
    script.write_text(EVALUATION)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(folder), str(log)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_disk_that_fills_keeps_whole_lines_and_the_run_goes_on(folder, tmp_path):
    plan, log = tilewright.load(folder), tmp_path / "log.jsonl"
    found(plan, results=log, chips=range(1))
    size, limits = log.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, limits[1]))
        with pytest.raises(OSError, match=r"File too large|No space"):
            found(plan, workers=2, results=log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    kept = whole_lines(log)
    assert 3 <= len(kept) < 1 + 3 * len(TIMES)
    assert found(plan, workers=2, results=log) == found(plan)
    assert whole_lines(log)[: len(kept)] == kept


def test_two_runs_on_one_log_lose_nothing(folder, tmp_path):
    log = tmp_path / "log.jsonl"
    runs = [begun(folder, log) for _ in range(2)]
    said = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert not any("semaphore" in err for _, err in said)  # none is left behind by workers that are ended
    expected = str(found(tilewright.load(folder)))
    assert [out.strip() for out, _ in said] == [expected] * 2
    ids = [entry["id"] for entry in measurements_in(log)]
    assert len({*ids}) == 1 + 3 * len(TIMES)  # both may have made some, with one value
    assert len({(entry["id"], entry["value"]) for entry in whole_lines(log)}) == len({*ids})


def test_killed_at_random_with_its_workers_the_run_goes_on(folder, tmp_path):
    log = tmp_path / "log.jsonl"
    for seconds in (4.0, 7.0):  # some on the way, whatever the machine's speed
        run = begun(folder, log)
        time.sleep(seconds)
        run.kill()
        run.communicate()
    if log.exists():
        whole = [line for line in log.read_text().split("\n")[:-1] if line]
        assert all(json.loads(line) for line in whole)
    assert found(tilewright.load(folder), workers=2, results=log) == found(tilewright.load(folder))


def test_another_plan_in_the_folder_is_not_measured_in_its_place(folder):
    plan = tilewright.load(folder)
    sent = sent_plan.SentPlan(folder, None, plan.sha256)
    assert sent.opened().sha256 == plan.sha256
    torch.manual_seed(1)
    other = lora_adapters.Classifier().eval()
    with torch.no_grad():
        next(other.parameters()).add_(1.0)
    tilewright.compile(other, example_inputs=INPUTS).save(folder, overwrite=True)
    assert sent.opened().sha256 == plan.sha256  # opened before: its files are still there for this process
    sent_plan._OPEN.close()
    with pytest.raises(InputError, match="is another than when measuring began"):
        sent.opened()
    with pytest.raises(InputError, match="is another than when measuring began"):
        found(plan, workers=2)


def test_a_log_that_cannot_be_written_is_said_before_anything_is_measured(folder, tmp_path, monkeypatch):
    plan = tilewright.load(folder)
    monkeypatch.setattr("tilewright.runtime.measuring.evaluate.MeasuredChips", None)
    with pytest.raises(InputError, match="its folder does not exist"):
        found(plan, workers=2, results=tmp_path / "missing" / "log.jsonl")
    with pytest.raises(InputError, match="folder"):
        found(plan, workers=2, results=tmp_path)


def test_clocks_may_jump(folder, monkeypatch):
    plan = tilewright.load(folder)
    jumps = iter(range(10**9, 0, -(10**5)))
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    assert found(plan) == found(plan)
