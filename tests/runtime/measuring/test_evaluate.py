"""Accuracy over time: figures, resuming, and what does not fit."""

import json
import math

import pytest
import torch
from scipy.stats import spearmanr

import tilewright
from tilewright.runtime.tasks.rows import read_rows
from tilewright.runtime.tasks.task import batches
from tilewright.runtime.tasks.texts.stsb import COLUMNS
from tilewright.runtime.tasks.texts.text import LENGTH_STEP, TextEncoder
from tilewright.targets.errors import InputError


@pytest.fixture(scope="module")
def pairs_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "dev.tsv"
    rows = [
        ("A man plays a guitar.", "Someone is playing the guitar.", 4.6),
        ("A man plays a guitar.", "The stock market fell.", 0.1),
        ("Two dogs run on the beach.", "Dogs are running along the shore.", 4.2),
        ("Two dogs run on the beach.", "A cat sleeps.", 1.0),
        ("It is raining.", "It rains.", 5.0),
        ("It is raining.", 'He said "no".', 0.2),
    ]
    lines = ["index\tsentence1\tsentence2\tscore"]
    lines += [f"{number}\t{one}\t{two}\t{score}" for number, (one, two, score) in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def pairs_of(file):
    rows = read_rows(file, COLUMNS, None)
    return [(row["sentence1"], row["sentence2"]) for row in rows], [float(row["score"]) for row in rows]


@pytest.fixture(scope="module")
def plan(minilm_plan_folder):
    return tilewright.load(minilm_plan_folder)


def test_digital_is_the_models_own_figure(plan, pairs_file, minilm_folder):
    """Embeddings are those of transformers: its tokenizer, its model, mean over tokens, cosine."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(minilm_folder), AutoModel.from_pretrained(minilm_folder).eval()
    pairs, scores = pairs_of(pairs_file)

    def embed(text):
        inputs = tokenizer(text, return_tensors="pt", padding=False)
        with torch.inference_mode():
            return torch.nn.functional.normalize(model(**inputs).last_hidden_state.mean(dim=1), dim=1)[0]

    similarities = [float(embed(one) @ embed(two)) for one, two in pairs]
    found = tilewright.evaluate(plan, "stsb", pairs_file, times=["1s"])
    assert found.digital == pytest.approx(100 * spearmanr(similarities, scores).statistic, abs=1e-6)
    assert found.examples == 6


def test_models_that_read_both_sentences_at_once(minilm_folder, pairs_file, tmp_path):
    """One logit a pair: the similarity is the model's own output on its tokenizer's pairs."""
    from transformers import AutoTokenizer, BertForSequenceClassification

    from tests.conftest import small_bert_config

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder)
    model = BertForSequenceClassification(small_bert_config(vocab_size=len(tokenizer), num_labels=1)).eval()
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    pairs, scores = pairs_of(pairs_file)
    with torch.inference_mode():
        logits = [model(**tokenizer(one, two, return_tensors="pt", padding=False)).logits.item() for one, two in pairs]
    plan = tilewright.compile(tmp_path / "model")
    found = tilewright.evaluate(plan, "stsb", pairs_file, times=["1s"])
    assert found.digital == pytest.approx(100 * spearmanr(logits, scores).statistic, abs=1e-6)


def test_results_do_not_depend_on_the_batch_size(plan, pairs_file):
    found = [tilewright.evaluate(plan, "stsb", pairs_file, times=["1d"], batch_size=size) for size in (1, 5)]
    assert found[0].points == found[1].points


def test_a_run_is_resumed(plan, pairs_file, tmp_path, monkeypatch):
    log = tmp_path / "log.jsonl"
    settings = {"times": ["1s", "1mo"], "repeats": 2, "results": log}
    first = tilewright.evaluate(plan, "stsb", pairs_file, **settings)
    lines = log.read_text().splitlines()
    assert len(lines) == 1 + 2 * 2
    # cut off within the last measurement: it alone is made again
    log.write_text("\n".join(lines[:-1]) + "\n" + lines[-1][:20])
    steps = []
    calls = []
    original = tilewright.Session.advance_to

    def advance(session, time):
        calls.append(time)
        return original(session, time)

    monkeypatch.setattr(tilewright.Session, "advance_to", advance)
    second = tilewright.evaluate(plan, "stsb", pairs_file, **settings, on_measurement=lambda *step: steps.append(step))
    assert second == first
    assert calls == [2592000.0]
    assert [step[0] for step in steps] == [1, 2, 3, 4, 5]
    assert log.read_text().splitlines() == lines  # the cut-off line is gone, not glued to its repetition
    # another seed shares nothing but the file
    tilewright.evaluate(plan, "stsb", pairs_file, times=["1s"], seed=1, results=log)
    assert json.loads(log.read_text().splitlines()[-1])["seed"] == 1


def test_mean_and_standard_error(plan, pairs_file):
    found = tilewright.evaluate(plan, "stsb", pairs_file, times=["1y"], repeats=3, seed=1)
    values = found.points[0].values
    mean = sum(values) / 3
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / 2)
    assert len(set(values)) > 1
    assert found.points[0].mean == pytest.approx(mean)
    assert found.points[0].standard_error == pytest.approx(deviation / math.sqrt(3))
    assert found.to_json()["points"][0]["mean"] == pytest.approx(mean)


def test_texts_are_padded_by_their_own_length_alone(plan):
    encoder = TextEncoder(plan)
    texts = ["One.", "word " * 20, "word " * 2000]
    together = encoder.encode(texts)
    lengths = [encoded["input_ids"].shape[0] for encoded in together]
    assert lengths == [LENGTH_STEP, 2 * LENGTH_STEP, encoder.longest]
    for text, encoded in zip(texts, together, strict=True):
        assert torch.equal(encoder.encode([text])[0]["input_ids"], encoded["input_ids"])
    assert [numbers for numbers, _ in batches(together, 8)] == [[0], [1], [2]]


def test_half_a_surrogate_pair_is_no_text(plan):
    with pytest.raises(InputError, match="cannot encode the texts"):
        TextEncoder(plan).encode(["\ud800"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("sentence1\tsentence2\nx\ty\n", "no column 'score'"),
        ("sentence1\tsentence2\tscore\nx\ty\tgood\n", "row 1: score 'good'"),
        ("sentence1\tsentence2\tscore\nx\ty\tnan\n", "row 1"),
        ("sentence1\tsentence2\tscore\nx\ty\t1\n", "at least 2"),
        ("", "no rows"),
    ],
)
def test_data_that_do_not_fit(plan, tmp_path, content, words):
    path = tmp_path / "data.tsv"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(plan, "stsb", path)


def test_settings_that_do_not_fit(plan, pairs_file, small_plan, tmp_path):
    with pytest.raises(InputError, match="no task 'stbs'; did you mean 'stsb'"):
        tilewright.evaluate(plan, "stbs", pairs_file)
    with pytest.raises(InputError, match="repeats is 0"):
        tilewright.evaluate(plan, "stsb", pairs_file, repeats=0)
    with pytest.raises(InputError, match="no data file"):
        tilewright.evaluate(plan, "stsb", tmp_path / "nothing")
    with pytest.raises(InputError, match="no tokenizer"):
        tilewright.evaluate(small_plan, "stsb", pairs_file)
    (tmp_path / "log").write_text("hello\nworld\n")
    with pytest.raises(InputError, match="line 1 is not a measurement"):
        tilewright.evaluate(plan, "stsb", pairs_file, results=tmp_path / "log")
