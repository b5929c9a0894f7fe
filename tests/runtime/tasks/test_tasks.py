"""Tasks: built in, of one's own, and of inputs that are given; what does not fit is one sentence."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import tilewright
from tests.networks import stack
from tilewright.runtime.tasks.class_names import class_numbers
from tilewright.runtime.tasks.finding import make_task
from tilewright.runtime.tasks.rows import read_rows
from tilewright.targets.errors import InputError

ONE_TIME: dict[str, Any] = {"times": ["1s"], "repeats": 1}


def test_labels_are_names_or_numbers():
    names = ["neg", "Neutral", "pos"]
    assert class_numbers(["POS", "neutral", 0, "1"], names) == [2, 1, 0, 1]
    assert class_numbers([3, "0"], None) == [3, 0]
    with pytest.raises(InputError, match="label 'poss' is no class of the model; did you mean 'pos'"):
        class_numbers(["poss"], names)
    with pytest.raises(InputError, match="label '3' is no class of the model"):
        class_numbers([3], names)
    with pytest.raises(InputError, match="label 'good' is no number of a class"):
        class_numbers(["good"], None, 2)
    with pytest.raises(InputError, match="label '2' is no class of the model; allowed are 0 to 1"):
        class_numbers([1, 2], None, 2)
    with pytest.raises(InputError, match=r"label '9+.*' is no number of a class"):
        class_numbers(["9" * 5000], None)


def test_rows_of_every_format(tmp_path):
    rows = [{"text": "a, b", "label": 1}, {"text": 'say "c"', "label": 0}]
    files = {
        "a.json": json.dumps(rows),
        "b.json": json.dumps({"data": rows}),
        "c.jsonl": "\n".join(map(json.dumps, rows)),
        "d.csv": 'label,text\n1,"a, b"\n0,"say ""c"""\n',
        "e.tsv": 'text\tlabel\na, b\t1\nsay "c"\t0\n',
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        found = read_rows(tmp_path / name, ["text", "label"], None)
        assert [(row["text"], int(row["label"])) for row in found] == [("a, b", 1), ('say "c"', 0)]
        assert len(read_rows(tmp_path / name, ["text"], 1)) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tsv", "text\tlable\nx\t1\n", "row 1 has no column 'label'; did you mean 'lable'"),
        ("a.tsv", "text\tlabel\nx\t1\ny\n", "row 2 has nothing in its column 'label'"),
        ("a.tsv", "", "has no rows"),
        ("a.tsv", "text\tlabel\n", "has no rows"),
        ("a.json", "{", "cannot be read"),
        ("a.json", "[1]", "is not a list of objects"),
        ("a.xml", "<a>", "is of no kind that is read"),
        ("b.tsv", None, "no data file"),
    ],
)
def test_data_that_are_none(classifier, tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(classifier(2)[1], "text-classification", tmp_path / name)


@pytest.fixture(scope="module")
def given():
    """A plan of a small classifier of vectors, its inputs, and labels that it mostly gives."""
    torch.manual_seed(0)
    model, x = stack(8, 16, 3), torch.randn(40, 8)
    with torch.no_grad():
        labels = model(x).argmax(dim=1)
    labels[::5] = 0
    return tilewright.compile(model, example_inputs=x[:2]), x, labels


def right(predictions, labels):
    return 100 * float((predictions == torch.as_tensor(labels)).float().mean())


def test_inputs_and_labels_in_python(given):
    plan, x, labels = given
    name = plan.document.inputs[0].name
    how: dict[str, Any] = {
        "metric": right,
        "readout": lambda outputs: next(iter(outputs.values())).argmax(dim=1),
        **ONE_TIME,
    }
    batches = DataLoader(TensorDataset(x, labels), batch_size=7)
    rows = [{name: x.numpy(), "label": int(label)} for x, label in zip(x, labels, strict=True)]
    ways: list[dict[str, Any]] = [
        {"inputs": x, "labels": labels}, {"inputs": {name: x.numpy()}, "labels": labels.tolist()},
        {"inputs": batches}, {"inputs": rows}, {"inputs": [{name: x, "labels": labels}]},
    ]  # fmt: skip
    found = [tilewright.evaluate(plan, **how, **way) for way in ways]
    assert {one.digital for one in found} == {found[0].digital}
    assert 80 <= found[0].digital < 100
    assert {tuple(one.points[0].values) for one in found} == {tuple(found[0].points[0].values)}
    assert len({one.data for one in found}) == 1
    assert found[0].metric == "right"
    assert found[0].task == "GivenTask"
    assert found[0].chance is None


def test_what_is_measured_has_a_name(given):
    """Another label, another input, another version of the metric: other measurements."""
    plan, x, labels = given
    readout: dict[str, Any] = {"readout": lambda outputs: next(iter(outputs.values())).argmax(dim=1)}
    metrics = [tilewright.Metric("right", right, version=version) for version in (1, 1, 2)]
    changed, moved = labels.clone(), x.clone()
    changed[3] += 1
    moved[3, 0] += 1
    cases = [(metrics[0], x, labels), (metrics[1], x, labels), (metrics[2], x, labels), (metrics[0], x, changed),
             (metrics[0], moved, labels)]  # fmt: skip
    names = [
        tilewright.evaluate(plan, metric=metric, inputs=inputs, labels=given_labels, **readout, **ONE_TIME).data
        for metric, inputs, given_labels in cases
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 4


def no_metric(*_):
    raise ZeroDivisionError("division by zero")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"metric": right}, "a metric needs inputs"),
        ({"inputs": torch.randn(4, 8)}, "inputs and labels need a metric"),
        ({"metric": right, "inputs": torch.randn(4, 8), "labels": [1]}, "4 samples and 1 labels"),
        ({"metric": right, "inputs": {"y": torch.randn(4, 8)}, "labels": [1] * 4}, "input 'y' was given"),
        ({"metric": right, "inputs": [torch.randn(8)]}, "give no labels"),
        ({"metric": no_metric, "inputs": torch.randn(4, 8), "labels": [1] * 4}, "fails on the predictions"),
        ({"metric": lambda *_: np.nan, "inputs": torch.randn(4, 8), "labels": [1] * 4}, "gives NaN"),
        ({"task": "glue/sst3", "data": "x"}, "no task 'glue/sst3'; did you mean 'glue/sst2'"),
        ({"task": "glue/sst2"}, "needs its data"),
        ({"task": "glue/sst2", "metric": right, "inputs": torch.randn(4, 8)}, "task, data and limit are"),
        ({"task": "glue/sst2", "data": "x", "readout": right}, "a task has its own"),
        ({"task": 3, "data": "x"}, "task is '3'"),
        ({"task": "nothing.py:Mine", "data": "x"}, "there is no Python file 'nothing.py'"),
    ],
)  # fmt: skip
def test_what_does_not_fit(given, how, words):
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(given[0], **how, **ONE_TIME)


OWN = """
import numpy as np
import torch
import tilewright


class Largest(tilewright.Task):
    metric = tilewright.Metric("accuracy, %", lambda found, wanted: 100 * (found == wanted).float().mean(), 100 / 3)

    def __init__(self, plan, data, limit):
        arrays = np.load(data)
        self.samples = [{"input": torch.tensor(x)} for x in arrays["x"][:limit]]
        self.labels = torch.tensor(arrays["y"][:limit])

    def read(self, inputs, outputs):
        return outputs["output"].argmax(dim=-1)
"""


def test_a_task_of_ones_own_in_a_file(given, tmp_path):
    plan, x, labels = given
    (tmp_path / "own.py").write_text(OWN)
    np.savez(tmp_path / "data.npz", x=x.numpy(), y=labels.numpy())
    name = f"{tmp_path / 'own.py'}:Largest"
    found = tilewright.evaluate(plan, name, tmp_path / "data.npz", limit=30, **ONE_TIME)
    assert found.examples == 30
    prepared = make_task(plan, name, tmp_path / "data.npz", 30)
    assert tilewright.evaluate(plan, prepared, **ONE_TIME).digital == found.digital
    with pytest.raises(InputError, match="no task 'Larges'; did you mean 'Largest'"):
        tilewright.evaluate(plan, f"{tmp_path / 'own.py'}:Larges", tmp_path / "data.npz")
    with pytest.raises(InputError, match="is prepared already"):
        tilewright.evaluate(plan, prepared, tmp_path / "data.npz")
    sensitivity = tilewright.measure_sensitivity(
        plan, ["task"], inputs={"input": x}, task=name, data=tmp_path / "data.npz", repeats=2
    )
    assert len(sensitivity.figures) == len(plan.document.layers)


def test_parquet(tmp_path):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": [0, 1]}), tmp_path / "a.parquet")
    assert read_rows(tmp_path / "a.parquet", ["text", "label"], 1) == [{"text": "a", "label": 0}]
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(InputError, match="cannot be read"):
        read_rows(tmp_path / "b.parquet", ["text"], None)
