"""Code of the user's own that fails, and what it gives where something else is wanted: one sentence each."""

import math
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import tilewright
from tests.networks import stack
from tilewright.runtime.tasks.finding import make_task
from tilewright.targets.errors import InputError

X, Y = torch.randn(12, 8, generator=torch.Generator().manual_seed(2)), torch.arange(12) % 3
ONCE: dict[str, Any] = {"times": ["1s"], "repeats": 1}


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    return tilewright.compile(stack(8, 16, 3), example_inputs=X[:2])


def accuracy(predictions, labels):
    """The metric of the documentation: it needs labels that compare with a tensor."""
    return 100 * (predictions == labels).float().mean()


def largest(outputs):
    return outputs["output"].argmax(dim=-1)


class Mine(tilewright.Task):
    metric = tilewright.Metric("accuracy, %", accuracy)

    def __init__(self, plan, data, limit):
        self.samples, self.labels = [{"input": x} for x in X], Y

    def read(self, inputs, outputs):
        return largest(outputs)


def test_labels_of_batches_and_lists_compare_with_predictions(plan):
    ways: list[dict[str, Any]] = [
        {"inputs": X, "labels": Y}, {"inputs": X, "labels": Y.tolist()}, {"inputs": X, "labels": Y.numpy()},
        {"inputs": DataLoader(TensorDataset(X, Y), batch_size=5)}, {"inputs": list(zip(X, Y.tolist(), strict=True))},
    ]  # fmt: skip
    found = [tilewright.evaluate(plan, metric=accuracy, readout=largest, **way, **ONCE) for way in ways]
    assert {one.digital for one in found} == {100 * (largest({"output": stacked(plan)}) == Y).float().mean().item()}


def stacked(plan):
    return tilewright.Session(plan, ideal=True).run({"input": X})["output"]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"readout": lambda outputs: outputs["logits"]}, "outputs output fails: KeyError: 'logits' .line"),
        ({"readout": lambda _: None}, "readout of the outputs output fails"),
        ({"readout": lambda outputs: outputs["output"].sum()}, r"gives tensor.*must be a tensor \[samples"),
        ({"readout": "argmax"}, "readout is 'argmax'; it must be a function"),
        ({"metric": lambda *_: "5"}, "gives '5', which is no number, for the predictions"),
        ({"metric": lambda *_: torch.ones(2)}, r"gives tensor\(\[1., 1.\]\), which is no number"),
        ({"metric": "accuracy"}, "needs functions of predictions and labels"),
        ({"inputs": X * math.nan}, "input 'input' of sample 0 has NaN"),
        ({"inputs": X[:0], "labels": []}, "inputs have no samples"),
        ({"inputs": ["a"] * 12}, "input 'input' is .* no array of numbers"),
        ({"inputs": 5}, "input 'input' is one number"),
        ({"inputs": 5, "labels": None}, "inputs are 5, without labels"),
        ({"labels": 5}, "labels are 5; give one an example"),
    ],
    ids=["key", "nothing", "scalar", "word", "text", "vector", "no metric", "NaN", "empty", "words", "number",
         "no labels", "one label"],
)  # fmt: skip
def test_what_is_given_in_python(plan, how, words):
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(plan, **({"metric": accuracy, "inputs": X, "labels": Y} | how), **ONCE)


def test_chance_is_a_number():
    for chance in (math.nan, math.inf, "50"):
        with pytest.raises(InputError, match=r"chance of metric 'a' is .*; it must be a number, or None"):
            tilewright.Metric("a", accuracy, chance)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("metric = None", "has no metric; set metric to a tilewright.Metric"),
        ("def __init__(self, plan, data, limit): pass", "has no samples; set self.samples, one an example"),
        ("def __init__(self, plan, data, limit): raise ValueError('mine')", "fails: ValueError: mine .line 5 of"),
        ("def __init__(self): pass", "fails: TypeError"),
        ("def read(self, inputs, outputs): return outputs['x']", r"Own.read fails: KeyError: 'x' .line 5 of"),
        ("def read(self, inputs, outputs): return [1] * len(inputs['input'])", "Own.read gives .*must be a tensor"),
        ("def measure(self, session, batch_size): return float('nan')", "gives NaN for the predictions"),
        ("def measure(self, session, batch_size): return 'x'", "gives 'x', which is no number"),
        ("labels = property(lambda self: [1, 2], lambda self, value: None)", "has 12 samples and 2 labels"),
        ("samples = property(lambda self: [5] * 12, lambda self, value: None)", "sample 0 of Own is 5"),
        ("def f(:", "own.py' fails: SyntaxError: .* .line 5 of"),
        ("import nothing_like_it", "own.py' fails: ModuleNotFoundError: .* .line 5"),
    ],
    ids=["metric", "samples", "raises", "arguments", "read", "list", "NaN", "word", "labels", "sample", "syntax",
         "import"],
)  # fmt: skip
def test_a_file_of_ones_own_that_fails(plan, tmp_path, body, words):
    file = tmp_path / "own.py"
    file.write_text(f"from {__name__} import Mine\n\n\nclass Own(Mine):\n    {body}\n")
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(plan, f"{file}:Own", tmp_path, **ONCE)


def test_faults_of_tilewright_keep_their_traceback(plan, monkeypatch):
    from tilewright.runtime.tasks.texts.text_classification import TextClassification

    monkeypatch.setattr(TextClassification, "__init__", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        make_task(plan, "text-classification", "x.csv", None)


def test_one_example_tells_nothing_of_others(plan):
    metric = tilewright.Metric("accuracy, %", accuracy, 100 / 3)
    found = tilewright.evaluate(
        plan, metric=metric, inputs=X[:1], labels=Y[:1], readout=largest, times=["1s"], repeats=3
    )
    (point,) = found.points
    assert point.over_examples is None
    assert point.over_both is None
    assert point.iso_accuracy is None
    assert found.notes[0] == "one example: how much examples differ is unknown"
