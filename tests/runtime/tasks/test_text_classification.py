"""Classification and regression of texts: columns by name, labels and chance by the model's logits."""

import json

import pytest
import torch
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score

import tilewright
from tests.runtime.tasks.pairs import LABELS, OF_THREE, PAIRS, SCORES, logits_of
from tilewright.runtime.execution.session import Session
from tilewright.runtime.tasks.texts.text_classification import TextClassification, TextRegression
from tilewright.targets.errors import InputError


def write_rows(path, labels, names=("text", "label")):
    rows = [{names[0]: first, "other": second, names[-1]: y} for (first, second), y in zip(PAIRS, labels, strict=True)]
    path.write_text(json.dumps(rows))
    return path


def digital(plan, task):
    return task.measure(Session(plan, ideal=True), 4)


def test_columns_by_name(classifier, tmp_path):
    folder, plan = classifier(3)
    named = write_rows(tmp_path / "a.json", OF_THREE, ("review", "stars"))
    ones = logits_of(folder, [(first,) for first, _ in PAIRS]).argmax(dim=1).tolist()
    twos = logits_of(folder, PAIRS).argmax(dim=1).tolist()
    assert ones != twos
    single = TextClassification(plan, named, None, text="review", label="stars")
    assert digital(plan, single) == pytest.approx(100 * accuracy_score(OF_THREE, ones))
    paired = TextClassification(plan, named, None, text="review", pair="other", label="stars")
    assert digital(plan, paired) == pytest.approx(100 * accuracy_score(OF_THREE, twos))
    plain = TextClassification(plan, write_rows(tmp_path / "b.json", OF_THREE), None)
    assert plain.fingerprint() == single.fingerprint() != paired.fingerprint()
    with pytest.raises(InputError, match="row 1 has no column 'text'"):
        tilewright.evaluate(plan, "text-classification", named)
    with pytest.raises(InputError, match="row 1 has no column 'reviews'; did you mean 'review'"):
        TextClassification(plan, named, None, text="reviews", label="stars")


def test_chance_and_labels_are_those_of_the_logits(classifier, tmp_path):
    """Labels that happen to be 0 and 1 do not make a model of three classes one of two."""
    plan = classifier(3)[1]
    found = tilewright.evaluate(plan, "text-classification", write_rows(tmp_path / "a.json", LABELS), times=["1s"])
    assert found.chance == pytest.approx(100 / 3)
    with pytest.raises(InputError, match="label '3' is no class of the model; allowed are 0 to 2"):
        tilewright.evaluate(plan, "text-classification", write_rows(tmp_path / "b.json", [*OF_THREE[:-1], 3]))
    with pytest.raises(InputError, match="one logit a text, so it tells no classes apart; its task is text-regression"):
        tilewright.evaluate(classifier(1)[1], "text-classification", write_rows(tmp_path / "c.json", LABELS))


def test_regression(classifier, tmp_path):
    folder, plan = classifier(1)
    logits = logits_of(folder, PAIRS)[:, 0].tolist()
    file = write_rows(tmp_path / "a.json", SCORES, ("one", "score"))
    task = TextRegression(plan, file, None, text="one", pair="other", label="score")
    assert digital(plan, task) == pytest.approx(100 * pearsonr(SCORES, logits).statistic, abs=1e-3)
    assert torch.equal(task.labels, torch.tensor(SCORES, dtype=torch.float64))
    with pytest.raises(InputError, match="regression needs one logit a text; the plan has 3"):
        tilewright.evaluate(classifier(3)[1], "text-regression", write_rows(tmp_path / "b.json", SCORES))
    with pytest.raises(InputError, match="row 8: label 'high' is not a number"):
        tilewright.evaluate(plan, "text-regression", write_rows(tmp_path / "c.json", [*SCORES[:-1], "high"]))
