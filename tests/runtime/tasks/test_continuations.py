"""Log-likelihoods of continuations are transformers' own, whatever the batch; tokens are those of its tokenizer."""

import json
from dataclasses import replace

import pytest
import torch

import tilewright
from tests.small_llama import LONGEST, save_small_llama
from tilewright.runtime.tasks.language.causal_text import CausalTextEncoder
from tilewright.runtime.tasks.language.continuations import Continuations
from tilewright.targets.errors import InputError

TEXTS = ["The plan is", " two  spaces ", "<s>begun already</s> and ended", "ünïcödé", "a" * 100]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def plan(folder):
    return tilewright.compile(folder)


@pytest.mark.parametrize("begins", [True, False], ids=["bos", "no-bos"])
def test_tokens_are_those_of_transformers(plan, tmp_path, begins):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(save_small_llama(tmp_path, begins=begins))
    files = {file.name: file.read_bytes() for file in tmp_path.glob("tokenizer*")}
    encoder = CausalTextEncoder(replace(plan, tokenizer_files=files))
    assert (encoder.first_token, encoder.end_token) == (0, 1)
    for text in TEXTS:
        assert encoder.tokens(text, special=True) == tokenizer.encode(text)
        assert encoder.tokens(text, special=False) == tokenizer.encode(text, add_special_tokens=False)
        twice = tokenizer.encode(text, add_special_tokens=not text.startswith("<s>"))
        assert encoder.tokens(text) == twice


def test_continuations_are_those_of_transformers(plan, folder):
    from transformers import LlamaForCausalLM

    model, encoder = LlamaForCausalLM.from_pretrained(folder).eval(), CausalTextEncoder(plan)
    generator = torch.Generator().manual_seed(1)
    pairs: list[tuple[list[int], list[int]]] = []
    for length, count in [(1, 1), (3, 5), (15, 2), (16, 1), (60, 10), (90, 4), (2, LONGEST)]:
        tokens = torch.randint(2, 320, (length + count,), generator=generator).tolist()
        pairs.append((tokens[:length], tokens[length:]))
    with torch.inference_mode():
        likeliest = int(model(torch.tensor([pairs[1][0]])).logits[0, -1].argmax())
        pairs += [(pairs[1][0], [likeliest]), (pairs[1][0], [likeliest + 1])]  # two choices: one pass
        wanted = []
        for context, found in pairs:
            read = (context + found)[-(LONGEST + 1) :]
            logits = model(torch.tensor([read[:-1]])).logits[0, -len(found) :]
            due = torch.tensor(found)
            wanted.append(
                (
                    float(logits.log_softmax(-1).gather(1, due[:, None]).sum()),
                    bool((logits.argmax(-1) == due).all()),
                )
            )
    task = Continuations(encoder, pairs)
    assert len(task.samples) == len(pairs) - 1
    for batch_size in (1, 4):
        answers = task.predict(tilewright.Session(plan, ideal=True), batch_size)
        assert [found for found, _ in answers] == pytest.approx([found for found, _ in wanted], abs=1e-4)
        assert [likeliest for _, likeliest in answers] == [likeliest for _, likeliest in wanted]
    assert [likeliest for _, likeliest in wanted].count(True) == 1


def test_batches_change_nothing_on_a_chip(plan):
    encoder = CausalTextEncoder(plan)
    pairs = [(encoder.tokens(text), encoder.tokens(" and more", special=False)) for text in TEXTS]
    found = [
        Continuations(encoder, pairs).predict(tilewright.Session(plan, seed=2).advance_to("1d"), size)
        for size in (1, 2, 5)
    ]
    for other in found[1:]:
        assert [one for one, _ in other] == pytest.approx([one for one, _ in found[0]], abs=1e-4)
    ideal = Continuations(encoder, pairs).predict(tilewright.Session(plan, ideal=True), 5)
    assert all(abs(one - other) > 1e-3 for (one, _), (other, _) in zip(found[0], ideal, strict=True))


def settings(plan, **changes):
    files = dict(plan.tokenizer_files)
    content = {**json.loads(files["tokenizer_config.json"]), **changes}
    files["tokenizer_config.json"] = json.dumps(content).encode()
    return replace(plan, tokenizer_files=files)


def test_limits_of_length(plan):
    assert CausalTextEncoder(plan).longest == LONGEST  # the config's: the tokenizer tells none
    assert CausalTextEncoder(plan, 8).longest == 8
    assert CausalTextEncoder(settings(plan, model_max_length=10**30)).longest == 2048
    with pytest.raises(InputError, match="max_length is 0, allowed is 1 or more"):
        CausalTextEncoder(plan, 0)
    with pytest.raises(InputError, match="names no bos_token and no eos_token"):
        _ = CausalTextEncoder(settings(plan, bos_token=None, eos_token=None)).first_token
    assert CausalTextEncoder(settings(plan, bos_token=None)).first_token == 1


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (([], [3]), "a context has no token"),
        (([3], []), "a continuation has no token"),
        (([3], [3] * (LONGEST + 1)), "a continuation has 65 tokens, the model reads 64 at once"),
    ],
    ids=["context", "continuation", "long"],
)
def test_pairs_that_are_none(plan, pair, words):
    with pytest.raises(InputError, match=words):
        Continuations(CausalTextEncoder(plan), [pair])


def test_a_plan_that_is_no_language_model(plan):
    (logits,) = plan.document.outputs
    pooled = plan.document.model_copy(update={"outputs": [logits.model_copy(update={"shape": ["batch", 320]})]})
    with pytest.raises(
        InputError, match=r"logits of \[batch, sequence, vocabulary\]; the plan gives logits of \['batch'"
    ):
        CausalTextEncoder(replace(plan, document=pooled))
