"""Question answering: answers of transformers' own run, official figures, formats of files."""

import json
from typing import Any

import numpy as np
import pytest
import torch

import tilewright
from tilewright.runtime.execution.session import Session
from tilewright.runtime.tasks.finding import make_task
from tilewright.runtime.tasks.texts.question_answering import QuestionAnswering
from tilewright.runtime.tasks.texts.squad_metrics import answer_exact, answer_f1, normalised
from tilewright.targets.errors import InputError

ONE_TIME: dict[str, Any] = {"times": ["1s"], "repeats": 1}
HARBOUR = (
    "The harbour of Aldby was built in 1821 by Ingrid Holt, an engineer from the north. It has two piers, and the "
    "longer one carries a lighthouse of red stone. In 1904 a storm broke the shorter pier; the town council rebuilt it "
    "within eleven months, and paid with a tax on salt. Today some forty boats lie there, most of them for pleasure, "
    "and every June rowers from three countries race from the lighthouse to the islands and back. The record, 41 "
    "minutes, was set by the crew of the 'Grey Gull' in a year of unusually calm weather."
)
TREE = "An oak's acorns ripen in autumn.\n\nJays bury them — and forget a few."
QUESTIONS = [
    (HARBOUR, "  Who built the harbour?", ["Ingrid Holt", "Ingrid Holt, an engineer"]),
    (HARBOUR, "What paid for the new pier?", ["a tax on salt"]),
    (HARBOUR, "How long is the record?", ["41 minutes", "41"]),
    (TREE, "Which birds bury acorns?", ["Jays"]),
    (TREE, "When do acorns ripen?", ["in autumn", "autumn"]),
    ("Rooks nest in an old elm.", "Where do rooks nest?", ["in an old elm"]),  # 17 tokens in inputs of 32
]
OPTIONS = {"length": 48, "stride": 12, "answer_length": 9, "candidates": 12}


def squad(path, questions, version=1):
    """A file of SQuAD; in version 2 questions without answers are impossible."""
    articles = []
    for number, (context, question, answers) in enumerate(questions):
        found = [{"text": answer, "answer_start": context.find(answer)} for answer in answers]
        asked: dict[str, Any] = {"id": f"q{number}", "question": question, "answers": found}
        if version == 2:
            asked["is_impossible"] = not answers
        articles.append({"title": "x", "paragraphs": [{"context": context, "qas": [asked]}]})
    path.write_text(json.dumps({"version": "1.1", "data": articles}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def answerer(small_model):
    from transformers import BertForQuestionAnswering

    return small_model(BertForQuestionAnswering, 2)


def answered_by_transformers(folder, questions, *, length, stride, answer_length, candidates):
    """Answers as transformers' run_qa finds them: its tokenizer's windows, its model, its choice of spans.

    Beside them by how much no answer is the better one, and the number of windows.
    """
    from transformers import AutoTokenizer, BertForQuestionAnswering

    tokenizer, model = AutoTokenizer.from_pretrained(folder), BertForQuestionAnswering.from_pretrained(folder)
    answers, margins, counts = [], [], []
    for context, question, _ in questions:
        encoded = tokenizer(
            question.lstrip(), context, truncation="only_second", max_length=length, stride=stride,
            return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip
        counts.append(len(encoded["input_ids"]))
        found, none = [], []
        for window in range(counts[-1]):
            names = ("input_ids", "attention_mask", "token_type_ids")
            inputs = {name: torch.tensor([encoded[name][window]]) for name in names}
            with torch.inference_mode():
                out = model(**inputs)
            start, end = out.start_logits[0].numpy(), out.end_logits[0].numpy()
            none.append(start[0] + end[0])
            places, of = encoded["offset_mapping"][window], encoded.sequence_ids(window)
            for first in np.argsort(start)[::-1][:candidates]:
                for last in np.argsort(end)[::-1][:candidates]:
                    if of[first] == of[last] == 1 and 0 <= last - first < answer_length:
                        text = context[places[first][0] : places[last][1]]
                        found.append((start[first] + end[last], text))
        best, answer = max(found, key=lambda pair: pair[0], default=(-np.inf, ""))
        answers.append(answer)
        margins.append(min(none) - best)
    return answers, margins, counts


def ideal_answers(plan, task):
    return task.predict(Session(plan, ideal=True), 4)


def test_answers_and_figures_are_those_of_transformers_own_run(answerer, tmp_path):
    folder, plan = answerer
    answers, _, windows = answered_by_transformers(folder, QUESTIONS, **OPTIONS)
    assert max(windows) > 3
    assert min(windows) == 1
    assert len(set(answers)) > 3
    task = QuestionAnswering(plan, squad(tmp_path / "dev.json", QUESTIONS), None, **OPTIONS)
    assert len(task.samples) == sum(windows)
    assert ideal_answers(plan, task) == answers
    given = [[answers[0]], [answers[1], "a tax on salt"], *(gold for _, _, gold in QUESTIONS[2:])]
    changed = [(*rest, gold) for (*rest, _), gold in zip(QUESTIONS, given, strict=True)]
    task = QuestionAnswering(plan, squad(tmp_path / "dev.json", changed), None, **OPTIONS)
    scores = [100.0, 100.0, *answer_f1(None).each(answers[2:], given[2:])]  # type: ignore[misc]
    assert task.measure(Session(plan, ideal=True), 3) == pytest.approx(sum(scores) / len(scores))
    assert 40 <= sum(scores) / len(scores) < 100
    assert (task.metric.name, task.metric.chance) == ("answer F1 x 100", 0)


def test_no_answer_in_version_2(answerer, tmp_path):
    folder, plan = answerer
    questions = [*QUESTIONS[:4], (TREE, "Who felled the oak?", []), (HARBOUR, "Where is the salt from?", [])]
    file = squad(tmp_path / "dev.json", questions, version=2)
    spans, margins, _ = answered_by_transformers(folder, questions, **OPTIONS)
    counts = set()
    for threshold in (0.0, float(np.median(margins)), float(min(margins)) - 1, float(max(margins)) + 1):
        task = QuestionAnswering(plan, file, None, threshold=threshold, **OPTIONS)
        wanted = ["" if margin > threshold else span for margin, span in zip(margins, spans, strict=True)]
        assert ideal_answers(plan, task) == wanted
        counts.add(wanted.count(""))
    assert counts >= {0, 3, 6}
    assert task.labels[4:] == [[], []]
    assert task.metric.chance == pytest.approx(100 / 3)
    assert task.metric([""] * 6, task.labels) == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    "change",
    [{"answer_length": 1}, {"answer_length": 3}, {"candidates": 1}, {"candidates": 2}, {"stride": 30}],
    ids=str,
)
def test_options_are_those_of_run_qa(answerer, tmp_path, change):
    folder, plan = answerer
    options = {**OPTIONS, **change}
    answers, _, _ = answered_by_transformers(folder, QUESTIONS, **options)
    task = QuestionAnswering(plan, squad(tmp_path / "dev.json", QUESTIONS), None, **options)
    assert ideal_answers(plan, task) == answers


def test_by_name_and_with_a_chip(answerer, tmp_path):
    plan, file = answerer[1], squad(tmp_path / "dev.json", QUESTIONS[3:])
    for name, metric in (("question-answering", "answer F1 x 100"), ("question-answering-exact", "exact match, %")):
        with pytest.raises(InputError, match="stride"):
            make_task(plan, name, squad(tmp_path / "long.json", QUESTIONS), None)  # 64 tokens, a stride of 128
        found = tilewright.evaluate(plan, name, file, **ONE_TIME)
        assert (found.metric, found.examples) == (metric, 3)
        assert all(0 <= value <= 100 for value in [found.digital, *found.points[0].values])


def test_what_chooses_answers_is_part_of_what_is_measured(answerer, tmp_path):
    plan, file = answerer[1], squad(tmp_path / "dev.json", QUESTIONS)
    shouted = [(context.upper(), *rest) for context, *rest in QUESTIONS]  # the same tokens
    made = [
        QuestionAnswering(plan, file, None, **OPTIONS), QuestionAnswering(plan, file, None, **OPTIONS),
        QuestionAnswering(plan, file, None, **{**OPTIONS, "answer_length": 8}),
        QuestionAnswering(plan, file, None, **{**OPTIONS, "stride": 8}),
        QuestionAnswering(plan, squad(tmp_path / "b.json", shouted), None, **OPTIONS),
    ]  # fmt: skip
    names = [task.fingerprint() for task in made]
    assert names[0] == names[1]
    assert len(set(names)) == 4


def test_official_figures():
    """By hand, from the published definitions; two answers without words are equal in version 2 alone."""
    assert normalised(" The  Cat's, a U.S. hat! ") == "cats us hat"
    assert normalised("theatre an-a") == "theatre ana"
    found = ["the Grey Gull", "in 1904", "red red stone", "", "blue", "The"]
    gold = [["Grey gull!"], ["1904", "June 1904"], ["a red stone house"], [], [], ["a", "blue"]]
    f1 = answer_f1(100 / 3).each(found, gold)  # type: ignore[misc]
    # two of three words found and two of three wanted; 1 and 1/2; 1/2 and 1/2
    assert f1 == pytest.approx([100, 100 * 2 / 3, 100 * 2 / 3, 100, 0, 0])
    assert answer_exact(100 / 3).each(found, gold) == [100, 0, 0, 100, 0, 0]  # type: ignore[misc]
    assert answer_f1(100 / 3)(found, gold) == pytest.approx(sum(f1) / 6)
    assert answer_f1(None).each(["The"], [["a", "blue"]]) == [0]  # type: ignore[misc]
    assert answer_exact(None).each(["The"], [["a", "blue"]]) == [100]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no file of SQuAD"),
        ('{"data": [{"paragraphs": [{"context": "x"}]}]}', "data.0.paragraphs.0.qas is missing"),
        ('{"data": []}', "has no questions"),
        ('{"data": [{"paragraphs": [{"context": "x", "qas": [{"id": "q", "question": "y"}]}]}]}', "'q' has no answers"),
        ('{"data": [{"paragraphs": [{"context": 3, "qas": []}]}]}', "context is 3"),
        ("[" * 100_000, "is no file of SQuAD"),
    ],
    ids=["broken", "no questions of a paragraph", "empty", "no answers", "context of a number", "deep"],
)  # fmt: skip
def test_files_that_are_none(answerer, tmp_path, content, words):
    (tmp_path / "dev.json").write_text(content)
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(answerer[1], "question-answering", tmp_path / "dev.json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": 0}, "length is 0"),
        ({"stride": -1}, "stride is -1"),
        ({"answer_length": "9"}, "answer_length is '9'"),
        ({"candidates": 0}, "candidates is 0"),
        ({"threshold": "x"}, "threshold is 'x'; it must be a number"),
        ({"length": 9, "stride": 2}, "question 'Who built the harbour.' leaves 1 of the 9 tokens of a window"),
        ({"length": 4, "stride": 0}, "question 'Who built the harbour.' leaves 0 of the 4 tokens of a window"),
    ],
)
def test_options_out_of_range(answerer, tmp_path, options, words):
    file = squad(tmp_path / "dev.json", QUESTIONS)
    with pytest.raises(InputError, match=words):
        QuestionAnswering(answerer[1], file, None, **options)


def test_models_that_give_no_spans(classifier, tmp_path):
    with pytest.raises(InputError, match="needs a model that gives start_logits and end_logits; the plan has logits"):
        tilewright.evaluate(classifier(2)[1], "question-answering", squad(tmp_path / "dev.json", QUESTIONS))
