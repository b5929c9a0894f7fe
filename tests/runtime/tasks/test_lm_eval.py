"""lm-evaluation-harness: figures through the digital reference are those of its own model of transformers."""

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest

import tilewright
from tests.small_llama import save_small_llama
from tilewright.runtime.tasks.finding import make_task
from tilewright.runtime.tasks.language.causal_text import CausalTextEncoder
from tilewright.runtime.tasks.language.lm_eval_task import LmEvalTask
from tilewright.targets.errors import InputError

lm_eval = pytest.importorskip("lm_eval", reason="needs lm-evaluation-harness: pip install 'tilewright[lm-eval]'")

ROOT = Path(__file__).parents[3]
LONG = "No model of this size can read a text that goes on and on and on, page after page, and that is its point. "
QUESTIONS = [
    ("The chip drifts over", ["time", "money", "a hill", "seven"], 0),
    ("Weights are stored in ", ["devices", "devices of light", "rain"], 0),
    ("", ["A plan", "The plan is long"], 1),
    (LONG + "For", ["ever", "now"], 0),
    ("One letter is", ["a", "b", "c", "d"], 3),
    ("A digital unit is exact", ["; a tile is not", ", a tile is exact too"], 1),
]
TEXTS = ["A chip drifts.", LONG, "Programming noise is drawn once.\n\nRead noise is not."]
TASKS = {
    "choices": """
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: label
doc_to_choice: choices
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
""",
    "shots": """
output_type: multiple_choice
num_fewshot: 1
fewshot_split: validation
doc_to_text: "{{question}}"
doc_to_target: label
doc_to_choice: choices
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
""",
    "texts": """
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
  - {metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}
""",
    "next": """
output_type: loglikelihood
doc_to_text: "{{text}}"
doc_to_target: "{{next}}"
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
""",
    "written": """
output_type: generate_until
doc_to_text: "{{text}}"
doc_to_target: "{{next}}"
generation_kwargs: {until: ["."], max_gen_toks: 8}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
""",
}
GROUP = """
group: both
task: [choices, shots]
aggregate_metric_list:
  - {metric: acc, aggregation: mean, weight_by_size: true}
"""


@pytest.fixture(autouse=True)
def without_its_own_tasks(monkeypatch):
    """lm-eval without its fourteen thousand tasks, which take seconds to list."""
    from lm_eval import tasks

    manager = tasks.TaskManager
    monkeypatch.setattr(tasks, "TaskManager", lambda **how: manager(**{**how, "include_defaults": False}))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_small_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def plan(model, tmp_path_factory):
    plan = tilewright.compile(model)
    plan.save(tmp_path_factory.mktemp("plans") / "plan")
    return plan


@pytest.fixture(scope="module")
def likeliest(plan):
    """Texts with a next token, as text: the model's own likeliest for the first, and another for the second."""
    encoder, session = CausalTextEncoder(plan), tilewright.Session(plan, ideal=True)
    for text in ("The plan", "A chip", "Weights are", "Read noise", "Once more", "Exactly"):
        ids = encoder.tokens(text)
        padded = {name: value[None] for name, value in encoder.padded(ids).items()}
        number = int(session.run(padded)["logits"][0, len(ids) - 1].argmax())
        following = encoder._tokenizer.decode([number], skip_special_tokens=False)
        if encoder.tokens(text + following) == [*ids, number]:
            return [{"text": text, "next": following}, {"text": text, "next": " never"}]
    raise AssertionError("no likeliest token can be written as text")


def write(folder, name, content, rows):
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = f"{{data_files: {{validation: {folder}/{name}.jsonl}}, cache_dir: {folder}/cache}}"
    (folder / f"{name}.yaml").write_text(
        f"task: {name}\ndataset_path: json\ndataset_kwargs: {data}\nvalidation_split: validation\n{content}"
        "metadata: {version: 1.0}\n"
    )


@pytest.fixture(scope="module")
def tasks(likeliest, tmp_path_factory):
    """Folder of tasks of one's own."""
    folder = tmp_path_factory.mktemp("tasks")
    rows = [{"question": question, "choices": choices, "label": label} for question, choices, label in QUESTIONS]
    for name, content in TASKS.items():
        of = {"texts": [{"text": text} for text in TEXTS], "next": likeliest, "written": likeliest}
        write(folder, name, content, of.get(name, rows))
    (folder / "both.yaml").write_text(GROUP)
    return folder


def harness(folder, model, arguments, names, **how):
    """lm-eval's own evaluation."""
    from lm_eval.tasks import TaskManager

    import tilewright.lm_eval  # noqa: F401

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return lm_eval.simple_evaluate(
        model, model_args=arguments, tasks=names, task_manager=manager, device="cpu", bootstrap_iters=0, **how
    )


NAMES = ["choices", "shots", "texts", "next"]


@pytest.fixture(scope="module")
def reference(model, tasks):
    """Figures of lm-eval's own model of transformers."""
    pytest.importorskip("accelerate", reason="lm-eval's model of transformers needs accelerate")
    return harness(tasks, "hf", f"pretrained={model},dtype=float32", ["both", "texts", "next"], batch_size=2)


@pytest.fixture(scope="module")
def folder(plan, tmp_path_factory):
    where = tmp_path_factory.mktemp("saved") / "plan"
    plan.save(where)
    return where


@pytest.mark.parametrize("batch_size", [1, 4])
def test_figures_are_those_of_lm_evals_own_model(reference, tasks, folder, batch_size):
    found = harness(tasks, "tilewright", f"plan={folder},ideal=true", NAMES, batch_size=batch_size)
    flags = set()
    for name in NAMES:
        for key, wanted in reference["results"][name].items():
            if key.endswith(",none") and "stderr" not in key:
                assert found["results"][name][key] == pytest.approx(wanted, rel=1e-4), (name, key)
        for one, other in zip(found["samples"][name], reference["samples"][name], strict=True):
            for (given,), (wanted,) in zip(one["resps"], other["resps"], strict=True):
                if name == "texts":
                    assert given == pytest.approx(wanted, abs=1e-3)  # a sum over three windows
                else:
                    assert given[0] == pytest.approx(wanted[0], abs=1e-4)
                    assert given[1] == wanted[1]
                    flags.add(given[1])
    assert flags == {True, False}


@pytest.mark.parametrize(
    ("task", "key", "scale"),
    [
        ("choices", ("choices", "acc"), 100), ("choices:acc_norm", ("choices", "acc_norm"), 100),
        ("shots", ("shots", "acc"), 100), ("texts", ("texts", "word_perplexity"), 1),
        ("texts:bits_per_byte", ("texts", "bits_per_byte"), 1), ("next", ("next", "acc"), 100),
        ("next:perplexity", ("next", "perplexity"), 1),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_evaluate_gives_the_figures_of_lm_eval(plan, reference, tasks, task, key, scale):
    prepared = make_task(plan, f"lm-eval:{task}", tasks, None)
    predictions = prepared.predict(tilewright.Session(plan, ideal=True), 64)
    figure = prepared.metric(predictions, prepared.labels)
    assert figure == pytest.approx(scale * reference["results"][key[0]][f"{key[1]},none"], rel=1e-4)
    assert prepared.metric.name == (f"{key[1]}, %" if scale == 100 else key[1])
    assert prepared.metric.larger_is_better is ("per" not in key[1])
    assert (prepared.metric.each is not None) == (scale == 100)
    if prepared.metric.each is not None:
        each = prepared.metric.each(predictions, prepared.labels)
        assert np.mean(each) == pytest.approx(figure)
    chance = np.mean([100 / len(choices) for _, choices, _ in QUESTIONS]) if key[0] in ("choices", "shots") else None
    assert prepared.metric.chance == (None if chance is None else pytest.approx(chance))


def test_a_chip_is_the_same_both_ways(plan, folder, tasks):
    found = tilewright.evaluate(plan, "lm-eval:texts", tasks, times=["1mo"], repeats=2, seed=3, batch_size=2)
    other = harness(tasks, "tilewright", f"plan={folder},time=1mo,seed=3,repeat=1", ["texts"], batch_size=1)
    assert found.points[0].values[1] == pytest.approx(other["results"]["texts"]["word_perplexity,none"], rel=1e-4)
    assert found.points[0].values[0] != pytest.approx(found.points[0].values[1], rel=1e-3)
    assert (found.task, found.examples, found.larger_is_better) == ("lm-eval:texts", 3, False)


def test_several_tasks_are_their_mean_and_a_group_is_lm_evals(plan, reference, tasks):
    session = tilewright.Session(plan, ideal=True)
    single = [make_task(plan, f"lm-eval:{name}", tasks, None).measure(session, 8) for name in ("choices", "next")]
    both = make_task(plan, "lm-eval:choices, next", tasks, None)
    assert both.measure(session, 8) == pytest.approx(np.mean(single))
    assert both.metric.name == "mean of choices acc and next acc, %"
    assert both.size == 8
    group = make_task(plan, "lm-eval:both", tasks, None)
    assert group.measure(session, 8) == pytest.approx(100 * reference["groups"]["both"]["acc,none"])
    assert group.size == 12


def test_the_questions_of_the_examples(plan, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    monkeypatch.chdir(ROOT)
    task = make_task(plan, "lm-eval:general", "examples/lm_eval", None)
    assert (task.size, task.metric.chance, task.metric.name) == (20, 25.0, "acc, %")


def test_random_numbers_stay_as_they_are(plan, tasks):
    random.seed(5)
    np.random.seed(5)
    make_task(plan, "lm-eval:shots", tasks, None)
    assert random.random() == random.Random(5).random()
    assert np.random.random() == np.random.RandomState(5).random()


def test_what_is_measured_has_a_name(plan, tasks, tmp_path):
    def name(task="choices", folder=tasks, limit=None):
        return make_task(plan, f"lm-eval:{task}", folder, limit).fingerprint()

    rows = [{"question": question, "choices": choices, "label": 0} for question, choices, _ in QUESTIONS]
    write(tmp_path, "choices", TASKS["choices"], rows)
    names = [name(), name("choices:acc_norm"), name("shots"), name(limit=3), name(folder=tmp_path)]
    assert len(set(names)) == len(names)
    assert name() == names[0]
    assert make_task(plan, "lm-eval:choices", tasks, 3).size == 3


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("choice", "lm-eval has no task 'choice'; did you mean 'choices'"),
        ("choices:accuracy", "task 'choices' has no metric 'accuracy'; did you mean 'acc'"),
        ("written", "task 'written' asks for generated text, .*: run it with python -m tilewright.lm_eval"),
        ("choices,texts", r"a mean of choices \(acc\), texts \(word_perplexity\) says nothing"),
        ("texts,next:perplexity", r"a mean of texts \(word_perplexity\), next \(perplexity\) says nothing"),
        ("gone", "lm-eval cannot load task 'gone' with its data: "),
        ("odd", "lm-eval cannot make requests of task 'odd': "),
        ("", "lm-eval has no task ''"),
        ("choices,choices:acc_norm", "task 'choices' is named twice"),
    ],
    ids=["name", "metric", "generated", "mean", "perplexities", "gone", "odd", "empty", "twice"],
)
def test_what_does_not_fit(plan, tasks, tmp_path, task, words):
    if task == "gone":
        write(tmp_path, "gone", TASKS["choices"], [{}])
        (tmp_path / "gone.jsonl").unlink()
    if task == "odd":  # a second document without choices
        rows = [{"question": "a", "choices": ["b", "c"], "label": 0}, {"question": "d", "choices": None, "label": 0}]
        write(tmp_path, "odd", TASKS["choices"], rows)
    with pytest.raises(InputError, match=words):
        make_task(plan, f"lm-eval:{task}", tmp_path if task in ("gone", "odd") else tasks, None)


def test_a_folder_that_is_none_and_a_harness_that_is_not_there(plan, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"there is no folder .* to take tasks of lm-eval from"):
        LmEvalTask(plan, "choices", tmp_path / "none", None)
    monkeypatch.delitem(sys.modules, "tilewright.runtime.tasks.language.lm_eval_model", raising=False)
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", None)
    with pytest.raises(InputError, match=r"need the package lm_eval .*pip install 'tilewright\[lm-eval\]'"):
        LmEvalTask(plan, "choices", tmp_path, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("tme=1mo", "there is no model argument 'tme'; did you mean 'time'"),
        ("ideal=7", "ideal is 7; allowed: true, false"),
        ("batch_size=auto", "batch_size is 'auto', allowed is a whole number, 1 or more"),
        ("time=1mx", "1mx"),
        ("max_length=0", "max_length is 0"),
    ],
    ids=["unknown", "flag", "batch-size", "time", "length"],
)
def test_arguments_that_are_none(folder, tasks, arguments, words):
    with pytest.raises(InputError, match=words):
        harness(tasks, "tilewright", f"plan={folder},{arguments}", ["choices"])


def test_the_command_line_of_lm_eval(folder, tasks, monkeypatch, capsys):
    from tilewright.lm_eval import main

    def run(arguments, task):
        monkeypatch.setattr(sys, "argv", ["lm_eval", "run", "--model", "tilewright", "--model_args", arguments,
                                          "--tasks", task, "--include_path", str(tasks)])  # fmt: skip
        main()

    run(f"plan={folder},ideal=true,batch_size=3", "choices")
    assert "|choices|" in capsys.readouterr().out
    run(f"plan={folder},ideal=true", "written")
    assert "|written|" in capsys.readouterr().out


def test_generated_texts_are_those_of_hf(folder, model, tasks):
    """lm-eval's own model of transformers and the digital reference write the same, up to the same ends."""
    ours = harness(tasks, "tilewright", f"plan={folder},ideal=true", ["written"])
    theirs = harness(tasks, "hf", f"pretrained={model}", ["written"])
    texts = [[one["resps"] for one in found["samples"]["written"]] for found in (ours, theirs)]
    assert texts[0] == texts[1]
    assert any(text for ((text,),) in texts[0])
