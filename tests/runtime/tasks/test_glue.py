"""GLUE: each task's digital figure is the official metric of what transformers itself predicts."""

import json
from typing import Any

import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

import tilewright
from tests.runtime.tasks.pairs import LABELS, OF_THREE, PAIRS, SCORES, logits_of
from tilewright.runtime.tasks.texts.glue import Rte
from tilewright.targets.errors import InputError

ONE_TIME: dict[str, Any] = {"times": ["1s"], "repeats": 1}

ENTAILED = ("entailment", "not_entailment")
OF_MNLI = ("entailment", "neutral", "contradiction")
COLA = ("source", "label", "judgement", "sentence")
SST2 = ("sentence", "label")
MRPC = ("\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String")
QQP = ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")
PAIR = ("index", "sentence1", "sentence2", "label")
QNLI = ("index", "question", "sentence", "label")
STSB = (
    "index", "genre", "filename", "year", "old_index", "source1", "source2", "sentence1", "sentence2", "score",
)  # fmt: skip
MNLI = (
    "index", "promptID", "pairID", "genre", "sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse",
    "sentence2_parse", "sentence1", "sentence2", "label1", "label2", "label3", "label4", "label5", "gold_label",
)  # fmt: skip
"""Lines of names of the official files; CoLA's has none."""


def correlation(function):
    return lambda labels, predictions: function(labels, predictions).statistic


OFFICIAL: dict[str, tuple[Any, ...]] = {
    "glue/cola": (COLA, ("sentence", "label"), (), matthews_corrcoef),
    "glue/sst2": (SST2, ("sentence", "label"), (), accuracy_score),
    "glue/mrpc": (MRPC, ("#1 String", "#2 String", "\ufeffQuality"), (), f1_score),
    "glue/mrpc-accuracy": (MRPC, ("#1 String", "#2 String", "\ufeffQuality"), (), accuracy_score),
    "glue/qqp": (QQP, ("question1", "question2", "is_duplicate"), (), f1_score),
    "glue/qqp-accuracy": (QQP, ("question1", "question2", "is_duplicate"), (), accuracy_score),
    "glue/rte": (PAIR, ("sentence1", "sentence2", "label"), ENTAILED, accuracy_score),
    "glue/qnli": (QNLI, ("question", "sentence", "label"), ENTAILED, accuracy_score),
    "glue/wnli": (PAIR, ("sentence1", "sentence2", "label"), (), accuracy_score),
    "glue/mnli": (MNLI, ("sentence1", "sentence2", "gold_label"), OF_MNLI, accuracy_score),
    "glue/mnli-mismatched": (MNLI, ("sentence1", "sentence2", "gold_label"), OF_MNLI, accuracy_score),
    "glue/stsb": (STSB, ("sentence1", "sentence2", "score"), None, correlation(spearmanr)),
    "glue/stsb-pearson": (STSB, ("sentence1", "sentence2", "score"), None, correlation(pearsonr)),
}
"""Task -> names of its file's columns, columns of texts and label, words for the labels (none: a number), metric."""
FILES = {"glue/mnli": "dev_matched.tsv", "glue/mnli-mismatched": "dev_mismatched.tsv"}


def write_official(folder, task, labels):
    """The task's file in GLUE's folder, and the texts of its rows."""
    names, used, words, _ = OFFICIAL[task]
    texts = [pair[: len(used) - 1] for pair in PAIRS]
    rows = []
    for text, label in zip(texts, labels, strict=True):
        values = dict(zip(used, [*text, words[label] if words else label], strict=True))
        rows.append([str(values.get(name, "x")) for name in names])
    if task != "glue/cola":
        rows.insert(0, list(names))
    (folder / FILES.get(task, "dev.tsv")).write_text("\n".join(map("\t".join, rows)) + "\n", encoding="utf-8")
    return texts


@pytest.mark.parametrize("task", list(OFFICIAL))
def test_the_digital_figure_is_transformers_own(classifier, tmp_path, task):
    _, _, words, metric = OFFICIAL[task]
    classes = 1 if words is None else len(words) or 2
    labels = {1: SCORES, 2: LABELS, 3: OF_THREE}[classes]
    folder, plan = classifier(classes)
    logits = logits_of(folder, write_official(tmp_path, task, labels))
    predictions = (logits[:, 0] if classes == 1 else logits.argmax(dim=1)).tolist()
    assert len(set(predictions)) > 1
    found = tilewright.evaluate(plan, task, tmp_path, **ONE_TIME)
    assert found.digital == pytest.approx(100 * metric(labels, predictions), abs=1e-3 if classes == 1 else 1e-9)
    assert found.examples == len(PAIRS)
    chance = {accuracy_score: 100 / classes, f1_score: 50.0}.get(metric, 0.0)
    assert found.chance == pytest.approx(chance)
    assert found.larger_is_better


def test_names_of_the_model_decide(classifier, tmp_path):
    """RTE counts entailment first, this model last. A number in a file is GLUE's."""
    folder, plan = classifier(ENTAILED[::-1])
    assert plan.document.model.classes == [*ENTAILED[::-1]]
    assert classifier(2)[1].document.model.classes is None
    texts = write_official(tmp_path, "glue/rte", LABELS)
    predictions = (1 - logits_of(folder, texts).argmax(dim=1)).tolist()
    wanted = pytest.approx(100 * accuracy_score(LABELS, predictions))
    assert tilewright.evaluate(plan, "glue/rte", tmp_path, **ONE_TIME).digital == wanted
    pairs = zip(texts, LABELS, strict=True)
    rows = [{"premise": first, "hypothesis": second, "label": label} for (first, second), label in pairs]
    (tmp_path / "numbers.json").write_text(json.dumps(rows))
    task = Rte(plan, tmp_path / "numbers.json", None, text="premise", pair="hypothesis")
    assert tilewright.evaluate(plan, task, **ONE_TIME).digital == wanted


@pytest.mark.parametrize(
    ("task", "classes", "words"),
    [
        ("glue/sst2", 3, "the task has 2 classes, and the plan 3 logits a text"),
        ("glue/sst2", 1, "the task has 2 classes, and the plan 1 logits a text"),
        ("glue/stsb", 2, r"needs the output sentence_embedding .*; the plan has logits \['batch', 2\]"),
    ],
)
def test_models_of_other_classes(classifier, tmp_path, task, classes, words):
    write_official(tmp_path, task, LABELS)
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(classifier(classes)[1], task, tmp_path, **ONE_TIME)
