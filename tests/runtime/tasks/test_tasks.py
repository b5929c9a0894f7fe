"""Tasks: built in, of one's own, and of inputs that are given; what does not fit is one sentence."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from torch.utils.data import DataLoader, TensorDataset

import tilewright
from tests.conftest import small_bert_config
from tests.networks import stack
from tilewright.runtime.tasks.class_names import class_numbers
from tilewright.runtime.tasks.finding import make_task
from tilewright.runtime.tasks.rows import read_rows
from tilewright.targets.errors import InputError

PAIRS = [("A man plays.", "Someone plays."), ("It rains.", "The sun shines."), ("Dogs run.", "A dog is running."),
         ("He left.", "He stayed."), ("Two cats sleep.", "Cats are asleep.")]  # fmt: skip
ONE_TIME: dict[str, Any] = {"times": ["1s"], "repeats": 1}


@pytest.fixture(scope="module")
def classifiers(minilm_folder, tmp_path_factory):
    """Folders of classifiers with random weights and a real tokenizer, by their classes."""
    from transformers import AutoTokenizer, BertForSequenceClassification

    tokenizer = AutoTokenizer.from_pretrained(minilm_folder)
    made = {}
    for classes in [("LABEL_0", "LABEL_1"), ("not_entailment", "entailment")]:
        torch.manual_seed(3)
        config = small_bert_config(vocab_size=len(tokenizer), initializer_range=0.3)
        config.id2label = dict(enumerate(classes))
        config.label2id = {name: number for number, name in enumerate(classes)}
        folder = tmp_path_factory.mktemp("classifiers") / classes[1]
        BertForSequenceClassification(config).eval().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        made[classes[1]] = folder
    return made


@pytest.fixture(scope="module")
def plans(classifiers):
    return {name: tilewright.compile(folder) for name, folder in classifiers.items()}


def predicted(folder, texts):
    """Classes by transformers itself."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.inference_mode():
        return [
            int(model(**tokenizer(*([text] if isinstance(text, str) else text), return_tensors="pt")).logits.argmax())
            for text in texts
        ]


def table(path, header, rows):
    lines = ["\t".join(map(str, row)) for row in [*([header] if header else []), *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


LABELS = [1, 0, 1, 0, 0]


def test_classes_by_number(plans, classifiers, tmp_path):
    """The official metrics of what transformers predicts with the official columns."""
    plan, folder = plans["LABEL_1"], classifiers["LABEL_1"]
    ones = [first for first, _ in PAIRS]
    of_ones, of_pairs = predicted(folder, ones), predicted(folder, PAIRS)
    cases = {
        "glue/cola": (None, [("x", y, "", t) for t, y in zip(ones, LABELS, strict=True)], matthews_corrcoef, of_ones),
        "glue/sst2": (("sentence", "label"), zip(ones, LABELS, strict=True), accuracy_score, of_ones),
        "glue/mrpc": (
            ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"),
            [(y, 1, 2, *pair) for pair, y in zip(PAIRS, LABELS, strict=True)], f1_score, of_pairs,
        ),
        "glue/wnli": (
            ("index", "sentence1", "sentence2", "label"),
            [(0, *pair, y) for pair, y in zip(PAIRS, LABELS, strict=True)], accuracy_score, of_pairs,
        ),
    }  # fmt: skip
    for name, (header, rows, metric, predictions) in cases.items():
        table(tmp_path / "dev.tsv", header, rows)
        found = tilewright.evaluate(plan, name, tmp_path, **ONE_TIME)
        assert found.digital == pytest.approx(100 * metric(LABELS, predictions)), name
        assert found.examples == 5


def test_classes_by_the_models_own_names(plans, classifiers, tmp_path):
    """RTE counts entailment first, this model last: its names decide."""
    plan = plans["entailment"]
    assert plan.document.model.classes == ["not_entailment", "entailment"]
    assert plans["LABEL_1"].document.model.classes is None
    names = ["entailment" if label else "not_entailment" for label in LABELS]
    table(tmp_path / "dev.tsv", ("index", "sentence1", "sentence2", "label"),
          [(0, *pair, name) for pair, name in zip(PAIRS, names, strict=True)])  # fmt: skip
    predictions = predicted(classifiers["entailment"], PAIRS)
    found = tilewright.evaluate(plan, "glue/rte", tmp_path, **ONE_TIME)
    assert found.digital == pytest.approx(100 * accuracy_score(LABELS, predictions))
    assert (found.chance, found.larger_is_better) == (50.0, True)


def test_labels_are_names_or_numbers():
    names = ["neg", "Neutral", "pos"]
    assert class_numbers(["POS", "neutral", 0, "1"], names) == [2, 1, 0, 1]
    assert class_numbers([3, "0"], None) == [3, 0]
    with pytest.raises(InputError, match="label 'poss' is no class of the model; did you mean 'pos'"):
        class_numbers(["poss"], names)
    with pytest.raises(InputError, match="label '3' is no class of the model"):
        class_numbers([3], names)
    with pytest.raises(InputError, match="label 'good' is no number of a class"):
        class_numbers(["good"], None)


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
        ("a.tsv", "text\tlabel\nx\t1\ny\n", "row 2 has no column 'label'"),
        ("a.tsv", "", "has no rows"),
        ("a.tsv", "text\tlabel\n", "has no rows"),
        ("a.json", "{", "cannot be read"),
        ("a.json", "[1]", "is not a list of objects"),
        ("a.xml", "<a>", "is of no kind that is read"),
        ("b.tsv", None, "no data file"),
    ],
)
def test_data_that_are_none(plans, tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(plans["LABEL_1"], "text-classification", tmp_path / name)


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
