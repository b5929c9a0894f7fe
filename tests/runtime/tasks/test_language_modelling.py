"""Perplexity of a text: as transformers computes it, whatever the batch; what does not fit is one sentence."""

import json
import math
import sys
from typing import Any

import pytest
import torch

import tilewright
from tests.conftest import small_bert_config
from tests.families import FAMILIES
from tests.narrowing import present
from tilewright.compiler.cli import main
from tilewright.runtime.plan.records import DimensionRecord
from tilewright.runtime.tasks import language_modelling
from tilewright.runtime.tasks.finding import make_task
from tilewright.runtime.tasks.language_modelling import Window, windows
from tilewright.targets.errors import InputError

SENTENCE = "The <unk> cat sat on the mat , naïve as a @-@ cat in 1997 . \n\n = Ein Märchen = \n 日本 \t"
TEXT = "".join(f"{SENTENCE}{number} cats . " for number in range(12))
VOCABULARY = 320


def tokenizer_of(begin):
    """A byte-level tokenizer of the text; begin: True if it adds a token for the beginning."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=["<s>", "<unk>"], initial_alphabet=alphabet)
    made.train_from_iterator([TEXT], trainer)
    if begin:
        made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", unk_token="<unk>", model_max_length=48)


def trained(name):
    """A small model of a family, after some steps on the text: one that is better than chance."""
    import transformers

    torch.manual_seed(0)
    model_name, config_name, config = FAMILIES[name]
    model = getattr(transformers, model_name)(
        getattr(transformers, config_name)(**{**config, "vocab_size": VOCABULARY})
    )
    tokenizer = tokenizer_of(begin=name == "Llama")
    ids = tokenizer(TEXT, return_tensors="pt").input_ids[0]
    batch = torch.stack([ids[start : start + 48] for start in range(0, len(ids) - 48, 24)])
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        model(batch, labels=batch).loss.backward()
        optimizer.step()
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def models():
    return {name: trained(name) for name in ("GPT-2", "Llama")}


@pytest.fixture(scope="module")
def plans(models, tmp_path_factory):
    found = {}
    for name, (model, tokenizer) in models.items():
        folder = tmp_path_factory.mktemp("models") / name
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        found[name] = tilewright.compile(folder, "pcm-512-mixed")
    return found


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT.encode())
    return path


def by_transformers(model, tokenizer, length, stride):
    """Perplexity by transformers' own loss over the windows of its guide, and the counted tokens."""
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    nats, counted, before = 0.0, 0, 0
    for begin in range(0, ids.shape[1], stride):
        end = min(begin + length, ids.shape[1])
        labels = ids[:, begin:end].clone()
        labels[:, : -(end - before)] = -100
        own = int((labels[:, 1:] != -100).sum())
        if own:
            with torch.inference_mode():
                nats += own * float(model(ids[:, begin:end], labels=labels).loss)
        counted, before = counted + own, end
        if end == ids.shape[1]:
            break
    return math.exp(nats / counted), counted, ids.shape[1]


@pytest.mark.parametrize("name", ["GPT-2", "Llama"])
@pytest.mark.parametrize(("length", "stride"), [(48, 24), (48, 48), (32, 7), (64, 33)])
def test_perplexity_is_that_of_transformers(models, plans, file, name, length, stride):
    model, tokenizer = models[name]
    wanted, counted, tokens = by_transformers(model, tokenizer, length, stride)
    session = tilewright.Session(plans[name], ideal=True)
    options = {"length": length, "stride": stride}
    made = {task: make_task(plans[name], task, file, None, options)
            for task in ("perplexity", "perplexity-per-word", "bits-per-byte")}  # fmt: skip
    found = {task: one.measure(session, 3) for task, one in made.items()}
    assert found["perplexity"] == pytest.approx(wanted, rel=1e-5)
    assert wanted < 0.3 * VOCABULARY
    assert int(made["perplexity"].predict(session, 64)[:, 1].sum()) == counted
    own = tokens - (name == "Llama")  # without the token for the beginning
    assert found["perplexity-per-word"] == pytest.approx(wanted ** (own / len(TEXT.split())), rel=1e-4)
    bits = own * math.log2(wanted) / len(TEXT.encode())
    assert found["bits-per-byte"] == pytest.approx(bits, rel=1e-5)
    metrics = {task: one.metric for task, one in made.items()}
    assert metrics["perplexity"].chance == VOCABULARY
    star = metrics["perplexity"].normalised(1.1 * wanted, wanted)
    assert star == pytest.approx(1 - math.log(1.1) / math.log(VOCABULARY / wanted))
    assert not any(metric.larger_is_better for metric in metrics.values())
    of_each = present(metrics["bits-per-byte"].each)
    each = of_each(made["bits-per-byte"].predict(session, 64), made["bits-per-byte"].labels)
    assert sum(each) / len(each) == pytest.approx(bits, rel=1e-5)
    for task, metric in metrics.items():
        assert metric.normalised(_halfway(metric, found[task]), found[task]) == pytest.approx(0.5)


def _halfway(metric, digital):
    """Figure between digital and chance, in bits."""
    if metric.in_logarithms:
        return math.sqrt(digital * metric.chance)
    return (digital + metric.chance) / 2


def test_results_do_not_depend_on_batches(plans, file, monkeypatch):
    session = tilewright.Session(plans["GPT-2"], seed=3).advance_to("1d")
    made = make_task(plans["GPT-2"], "perplexity", file, None, {"length": 32})
    found = [made.predict(session, size) for size in (1, 5, 64)]
    monkeypatch.setattr(language_modelling, "LARGEST_LOGITS", 2 * 32 * VOCABULARY)
    few = make_task(plans["GPT-2"], "perplexity", file, None, {"length": 32})
    runs = []

    def read(inputs, outputs):
        runs.append(len(inputs["input_ids"]))
        return type(few).read(few, inputs, outputs)

    monkeypatch.setattr(few, "read", read)
    found.append(few.predict(session, 64))
    assert all(torch.equal(one, found[0]) for one in found)
    assert max(runs) == 2


def test_windows_cover_a_text():
    assert windows(10, 4, 2) == [Window(0, 4, 4), Window(2, 6, 2), Window(4, 8, 2), Window(6, 10, 2)]
    assert windows(9, 4, 4) == [Window(0, 4, 4), Window(4, 8, 4)]  # the last has one token, which nothing predicts
    assert windows(9, 4, 3) == [Window(0, 4, 4), Window(3, 7, 3), Window(6, 9, 2)]
    assert windows(3, 8, 4) == [Window(0, 3, 3)]
    for stride in (1, 3, 5):
        found = windows(23, 5, stride)
        assert sum(window.fresh for window in found) == 23
        assert sum(window.counted for window in found) == (22 if stride < 5 else 22 - 4)


def test_what_is_measured_by_default(plans, file):
    """Windows of what the model takes, half of them new; limit counts windows."""
    for name in plans:
        made = make_task(plans[name], "perplexity", file, None)
        assert made.metric.name == "perplexity per token (windows of 48, stride 24)"
        few = make_task(plans[name], "perplexity", file, 3)
        assert few.size == 3
        assert [sample["input_ids"].shape[0] for sample in few.samples] == [48] * 3
        assert torch.equal(few.labels, made.labels[:3])
        assert made.labels[:, 1:].sum(dim=0).tolist() == [len(TEXT.split()), len(TEXT.encode())]
    names = {make_task(plans["Llama"], "perplexity", file, 1, {"length": 48, "stride": stride}).fingerprint()
             for stride in (24, 48)}  # fmt: skip
    assert len(names) == 2  # of the same window


def test_the_command_takes_the_options(plans, file, tmp_path, monkeypatch, capsys):
    plans["Llama"].save(tmp_path / "plan")
    given = (
        "--task bits-per-byte --task-option length=32 --task-option stride=8 --limit 3 --times 1s --repeats 1 --json"
    )
    arguments = ["evaluate", tmp_path / "plan", "--data", file, *given.split()]
    monkeypatch.setattr(sys, "argv", ["tilewright", *map(str, arguments)])
    with pytest.raises(SystemExit) as leaving:
        main()
    out, said = capsys.readouterr()
    assert not leaving.value.code, said
    options = {"length": 32, "stride": 8}
    found = tilewright.evaluate(
        plans["Llama"], "bits-per-byte", file, task_options=options, limit=3, times=["1s"], repeats=1
    )
    assert json.loads(out) == json.loads(json.dumps(found.to_json()))
    assert found.metric == "bits per byte (windows of 32, stride 8)"
    assert found.examples == 3
    assert found.points[0].mean > found.digital


def test_sensitivity_and_assign_take_perplexity(plans, file):
    how: dict[str, Any] = {"task": "perplexity", "data": file, "limit": 4, "task_options": {"length": 32}, "time": "1d"}
    plan = plans["Llama"]
    found = tilewright.measure_sensitivity(plan, ["task"], repeats=2, **how)
    figures = {(figure.layer, figure.target): figure.value for figure in found.figures}
    analog = [value for (_, target), value in figures.items() if target == "pcm-512"]
    precise = [value for (_, target), value in figures.items() if target == "digital-fp16"]
    assert len(analog) == len(precise) == len(plan.document.layers)
    assert sum(analog) > 0  # noise raises the perplexity
    assert max(map(abs, precise)) < 0.1 * max(analog)
    made = tilewright.assign(plan, found, accuracy="95%", repeats=3, sizes={"batch": 1, "sequence": 32},
                             validate=False, **how)  # fmt: skip
    record = present(made.record.accuracy)
    assert record.lower_bound >= 0.95
    lead = math.log(VOCABULARY / record.digital)
    assert record.mean < record.digital * math.exp(0.05 * lead)


def test_a_figure_without_a_logarithm():
    metric = tilewright.Metric("error", lambda *_: 0.0, 10.0, larger_is_better=False, in_logarithms=True)
    with pytest.raises(InputError, match=r"A\* of metric 'error' is of logarithms, and the figure 0 has none"):
        metric.normalised(0.0, 2.0)


@pytest.mark.parametrize(
    ("task", "content", "options", "words"),
    [
        ("perplexity", "", {}, r"has fewer tokens than 2 \(0\)"),
        ("perplexity", "a", {}, r"has fewer tokens than 2 \(1\)"),
        ("perplexity", "a cat", {"stride": 49}, "stride is 49, allowed is 1 to 48"),
        ("perplexity", "a cat", {"stride": 0}, "stride is 0"),
        ("perplexity", "a cat", {"length": 1}, "length is 1, allowed is 2 or more"),
        ("perplexity", "a cat", {"length": "long"}, "length is 'long'"),
        ("perplexity", "a cat", {"strid": 4}, "has no option 'strid'; did you mean 'stride'"),
        ("perplexity-per-word", " \n \n\n", {}, "has no words"),
        ("perplexity-per-word", "日本" * 300, {"length": 64}, "tokens, too many for a perplexity"),
        ("bits-per-byte", b"\xff\xfe", {}, "is not UTF-8"),
        ("bits-per-byte", None, {}, "there is no text file"),
    ],
    ids=["empty", "one token", "stride", "no stride", "short", "word", "option", "white", "no words", "bytes",
         "none"],
)  # fmt: skip
def test_texts_and_windows_that_do_not_fit(plans, tmp_path, task, content, options, words):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=words):
        make_task(plans["GPT-2"], task, path, None, options)


def with_sequence(plan, size, limits):
    """The plan as one whose sequence has this size, or name of a size within these limits."""
    document = plan.document
    inputs, outputs = (
        [record.model_copy(update={"shape": [record.shape[0], size, *record.shape[2:]]}) for record in records]
        for records in (document.inputs, document.outputs)
    )
    changed = document.model_copy(update={"inputs": inputs, "outputs": outputs, "dimensions": {"sequence": limits}})
    return tilewright.Plan(changed, plan.tensors, plan.tokenizer_files)


def test_windows_that_the_plan_does_not_take(plans, file):
    """The plan's own limits decide, and are the length where none is given."""
    limited = with_sequence(plans["GPT-2"], "sequence", DimensionRecord(minimum=4, maximum=40))
    assert len(make_task(limited, "perplexity", file, None).samples[0]["input_ids"]) == 40
    with pytest.raises(InputError, match="a window's sequence is 41, allowed is 4 to 40"):
        make_task(limited, "perplexity", file, None, {"length": 41})
    fixed = with_sequence(plans["GPT-2"], 40, DimensionRecord(minimum=1, maximum=None))
    with pytest.raises(InputError, match="a window has 29 tokens and the plan takes 40; limit leaves out the last"):
        make_task(fixed, "perplexity", file, None)
    assert make_task(fixed, "perplexity", file, 3).size == 3
    with pytest.raises(InputError, match="a window's sequence is 65, allowed is 1 to 64"):  # its table of positions
        tilewright.evaluate(plans["GPT-2"], "perplexity", file, task_options={"length": 65}, limit=1)


def test_plans_that_are_no_language_models(plans, file, tmp_path):
    from transformers import BertForTokenClassification

    plan = plans["GPT-2"]
    masked = plan.document.model_copy(
        update={"model": plan.document.model.model_copy(update={"architecture": "BertForMaskedLM"})}
    )
    vectors = plan.document.outputs[0].model_copy(update={"name": "last_hidden_state"})
    encoder = plan.document.model_copy(update={"outputs": [vectors]})
    for document, words in [
        (masked, "'BertForMaskedLM' sees the tokens that it predicts"),
        (encoder, "perplexity is of causal language models, with input_ids .* gives last_hidden_state"),
    ]:
        with pytest.raises(InputError, match=words):
            make_task(tilewright.Plan(document, plan.tensors, plan.tokenizer_files), "perplexity", file, None)
    BertForTokenClassification(small_bert_config(vocab_size=VOCABULARY)).save_pretrained(tmp_path / "model")
    tokenizer_of(begin=False).save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="gives 2 logits a token and the text has the token"):
        make_task(tilewright.compile(tmp_path / "model"), "perplexity", file, None)
