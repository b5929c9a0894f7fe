"""Loggers of evaluations: TensorBoard's own reading, and W&B's and MLflow's calls."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest

import tilewright
from tests.conftest import padded_batch
from tilewright.runtime.measuring import loggers
from tilewright.runtime.measuring.uncertainty import Estimate, Interval
from tilewright.targets.errors import InputError

POINTS = [
    tilewright.TimePoint("1h", 3600.0, [70.0, 74.0]),
    tilewright.TimePoint("1s", 1.0, [80.0, 82.0], over_both=Interval(76.0, 86.0), normalised=Estimate(0.9, 0.01)),
]
EVALUATION = tilewright.Evaluation("glue/sst2", "accuracy, %", 50.0, True, "d" * 64, 10, 3, 2, True, 90.0, POINTS)
AT_ONE_SECOND = {"digital": 90.0, "mean": 81.0, "standard_error": 1.0, "low": 76.0, "high": 86.0, "normalised": 0.9}
AT_ONE_HOUR = {"digital": 90.0, "mean": 72.0, "standard_error": 2.0}


@pytest.fixture
def logged(small_plan):
    def log(*given):
        loggers.log_evaluation(loggers.make_loggers(given), EVALUATION, small_plan)
        return f"glue-sst2-{small_plan.sha256[:8]}-dddddddd-seed3"

    return log


def test_tensorboard_reads_what_was_logged(logged, small_plan, tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    read = EventAccumulator(str(tmp_path / "runs" / logged("tensorboard"))).Reload()
    scalars = {name: {one.step: one.value for one in read.Scalars(name)} for name in read.Tags()["scalars"]}
    assert set(scalars) == set(AT_ONE_SECOND)
    assert {name: found[1] for name, found in scalars.items()} == pytest.approx(AT_ONE_SECOND)
    assert {name: found[3600] for name, found in scalars.items() if 3600 in found} == pytest.approx(AT_ONE_HOUR)
    (text,) = read.Tensors("configuration/text_summary")
    table = text.tensor_proto.string_val[0].decode()
    for name, value in [("plan", small_plan.sha256), ("task", "glue/sst2"), ("data", "d" * 64), ("seed", 3),
                        ("target", small_plan.document.chip.name)]:  # fmt: skip
        assert f"| {name} | {value} |" in table


class FakeRun:
    """A run of W&B that notes its calls."""

    def __init__(self):
        self.calls, self.config, self.finished = [], SimpleNamespace(update=self.update), False

    def update(self, values, allow_val_change=False):
        assert allow_val_change
        self.configuration = values

    def define_metric(self, name, step_metric=None):
        self.calls.append((name, step_metric))

    def log(self, data):
        self.calls.append(data)

    def finish(self):
        self.finished = True


@pytest.mark.parametrize("is_open", [False, True])
def test_wandb_takes_seconds_as_its_axis(logged, small_plan, monkeypatch, is_open):
    run, asked = FakeRun(), []

    def init(*, project, name):
        asked.append((project, name))
        return run

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=run if is_open else None, init=init))
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    name = logged("wandb")
    assert asked == ([] if is_open else [("mine", name)])
    assert run.finished is not is_open, "a run of the user's stays open"
    assert run.configuration["plan"] == small_plan.sha256
    assert ("mean", "seconds") in run.calls
    steps = [call for call in run.calls if isinstance(call, dict)]
    assert steps == [{"seconds": 1.0, **AT_ONE_SECOND}, {"seconds": 3600.0, **AT_ONE_HOUR}]


@pytest.mark.parametrize("is_active", [False, True])
def test_mlflow_takes_seconds_as_steps(logged, small_plan, monkeypatch, is_active):
    calls: list[Any] = []

    class Run:
        def __enter__(self):
            calls.append("start")

        def __exit__(self, *_):
            calls.append("end")

    def start_run(run_name, nested):
        calls.append((run_name, nested))
        return Run()

    fake = SimpleNamespace(
        active_run=lambda: Run() if is_active else None,
        start_run=start_run,
        log_params=calls.append,
        log_metrics=lambda metrics, step: calls.append((step, metrics)),
    )
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    name = logged("mlflow")
    run, start, parameters, *steps, end = calls
    assert (run, start, end) == ((name, is_active), "start", "end")
    assert (parameters["seed"], parameters["model"]) == (3, small_plan.document.model.name)
    assert steps == [(1, AT_ONE_SECOND), (3600, AT_ONE_HOUR)]


def mean_output(found, _):
    return float(found.mean())


def test_ones_own_logger_takes_the_evaluation(small_plan):
    taken = []

    class Mine:
        def log_evaluation(self, evaluation, configuration):
            taken.append((evaluation, configuration))

    class Broken:
        def log_evaluation(self, evaluation, configuration):
            raise ConnectionError("no network")

    inputs: dict[str, Any] = {"metric": mean_output, "labels": [0.0] * 4, "inputs": padded_batch(4, 12)}
    with pytest.warns(RuntimeWarning, match="Broken did not take the evaluation: no network"):
        found = tilewright.evaluate(small_plan, **inputs, times=["1s"], repeats=1, log=[Broken(), Mine()])
    ((evaluation, configuration),) = taken
    assert evaluation is found
    assert configuration["plan"] == small_plan.sha256
    assert (configuration["examples"], configuration["repeats"]) == (4, 1)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("tensorbord", "there is no logger 'tensorbord'; did you mean 'tensorboard'"),
        (["wandb"], r"logging to wandb needs its package .*; install it: pip install 'tilewright\[wandb\]'"),
        ([3], "log is 3; it must be one of wandb, tensorboard, mlflow, or have log_evaluation"),
        (3, "log is 3; it must be one of"),
    ],
    ids=str,
)
def test_what_is_no_logger(monkeypatch, given, words):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=words):
        loggers.make_loggers(given)
