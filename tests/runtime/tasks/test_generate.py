"""Texts of a plan's language model: transformers' own in full precision, and on a chip the same whatever the batch."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, pipeline
from typer.testing import CliRunner

import tilewright
from tests.families import build
from tests.small_llama import save_small_llama
from tilewright.compiler.cli.app import app
from tilewright.runtime.execution.kept_rows import KeptRows, keeping_rows
from tilewright.runtime.tasks.language import analog_model
from tilewright.runtime.tasks.language.generation_settings import FILE, generation_settings
from tilewright.targets.errors import InputError

TOKENS = 8
PROMPTS = ["The plan", "A chip", "Weights are"]
IDS = torch.randint(3, 200, (3, 6), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def plan(folder, tmp_path_factory):
    plan = tilewright.compile(folder)
    plan.save(tmp_path_factory.mktemp("plans") / "plan")
    return plan


def on_chip(plan, **how):
    return tilewright.AnalogModelForCausalLM.from_plan(plan, time="1d", seed=2, **how)


def made(model, ids=IDS, **how):
    return model.generate(ids, **{"max_new_tokens": TOKENS, "do_sample": False, "eos_token_id": None, **how})


@pytest.mark.parametrize("how", [{}, {"num_beams": 3}], ids=["the likeliest", "beams"])
def test_in_full_precision_it_is_transformers_own_text(folder, plan, how):
    theirs = AutoModelForCausalLM.from_pretrained(folder).eval()
    wanted = theirs.generate(IDS, max_new_tokens=TOKENS, do_sample=False, eos_token_id=None, pad_token_id=1, **how)
    assert torch.equal(made(on_chip(plan, ideal=True), **how), wanted)


def test_a_text_is_the_same_alone_in_a_batch_and_padded(plan):
    together = made(on_chip(plan))
    model = on_chip(plan)
    alone = torch.cat([made(model, IDS[row : row + 1]) for row in range(3)])
    assert torch.equal(alone, together)
    padded = torch.cat([torch.zeros(3, 4, dtype=torch.int64), IDS], 1)
    mask = torch.cat([torch.zeros(3, 4, dtype=torch.int64), torch.ones_like(IDS)], 1)
    assert torch.equal(made(on_chip(plan), padded, attention_mask=mask)[:, 4:], together)
    assert not torch.equal(made(on_chip(plan, repeat=1)), together)  # another chip


@pytest.mark.parametrize("family", ["GPT-2", "Mixtral"])
def test_what_is_kept_changes_nothing(family, monkeypatch):
    """GPT-2 folds positions into its matrices' rows; experts read some of the rows alone."""
    network = build(family)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)
    plan = tilewright.compile(network, example_inputs={"input_ids": IDS, "attention_mask": torch.ones_like(IDS)})
    layers: list[KeptRows] = []

    def watched(*given):
        modules = keeping_rows(*given)
        layers.extend(one for one in modules.values() if isinstance(one, KeptRows))
        return modules

    monkeypatch.setattr(analog_model, "keeping_rows", watched)
    kept = made(on_chip(plan), num_return_sequences=1)
    rows = 3 * (IDS.shape[1] + TOKENS - 1)  # of all tokens but the last, once each
    assert max(layer.read for layer in layers) == rows
    monkeypatch.setattr(analog_model, "keeping_rows", lambda _plan, modules: dict(modules))
    assert torch.equal(made(on_chip(plan)), kept)


def test_texts_of_a_session(plan):
    session = tilewright.Session(plan, seed=2).advance_to("1d")
    texts = session.generate(PROMPTS, max_new_tokens=TOKENS)
    assert len(texts) == 3
    again = tilewright.Session(plan, seed=2).advance_to("1d")
    assert [again.generate(prompt, max_new_tokens=TOKENS)[0] for prompt in PROMPTS] == texts
    end = texts[0][2:4]
    (cut,) = session.advance_to("1d").generate(PROMPTS[0], max_new_tokens=TOKENS, until=[end])
    assert cut == texts[0][: texts[0].index(end)]
    ids = session.generate(IDS, max_new_tokens=2)
    assert ids.shape[0] == 3
    assert torch.equal(ids[:, :6], IDS)


def test_a_pipeline_runs_it(folder, plan):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = pipeline("text-generation", model=on_chip(plan), tokenizer=tokenizer)("The plan", max_new_tokens=4)
    assert found[0]["generated_text"].startswith("The plan")


def test_logits_and_loss_are_those_of_a_run(plan):
    model = on_chip(plan, ideal=True)
    found = model(IDS, labels=IDS)
    (wanted,) = tilewright.Session(plan, ideal=True)(input_ids=IDS).values()
    assert torch.equal(found.logits, wanted)
    expected = torch.nn.functional.cross_entropy(wanted[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
    assert float(found.loss) == pytest.approx(float(expected), rel=1e-5)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "too long": ({"prompts": "chip " * 200}, "tokens and may get 50 more; the plan takes"),
    "no prompt": ({"prompts": []}, "a prompt without tokens"),
    "tokens": ({"prompts": "a", "max_new_tokens": 0}, "max_new_tokens"),
    "transformers": ({"prompts": "a", "temperature": -1.0, "do_sample": True}, "transformers' generate refuses it"),
    "ids": ({"prompts": IDS, "until": ["."]}, "these are token ids"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_sentence(plan, case):
    how, said = WRONG[case]
    with pytest.raises(InputError, match=said):
        tilewright.Session(plan, ideal=True).generate(**how)


@pytest.mark.parametrize("name", ["BERT", "T5"])
def test_other_plans_are_refused(name, tmp_path):
    build(name).save_pretrained(tmp_path)
    plan = tilewright.compile(tmp_path, "ideal")
    with pytest.raises(InputError, match="a causal language model takes input_ids and gives logits"):
        tilewright.AnalogModelForCausalLM.from_plan(plan)


SETTINGS: dict[str, tuple[dict[str, Any], Any]] = {
    "a token": ({"eos_token_id": 5}, {"eos_token_id": 5, "pad_token_id": 5}),
    "several ends": ({"eos_token_id": [7, 8]}, {"eos_token_id": [7, 8], "pad_token_id": 7}),
    "no token": ({"eos_token_id": -1, "suppress_tokens": [-1]}, {}),
    "how": ({"num_beams": 2, "custom_generate": "a/b", "cache_implementation": "static"}, {"num_beams": 2}),
    "not there": ({"suppress_tokens": [1, 200], "eos_token_id": 50256}, {"suppress_tokens": [1]}),
    "written": ({"forced_bos_token_id": 200}, "forced_bos_token_id is 200, and the model has 200 tokens"),
    "a text": ({"eos_token_id": "</s>"}, "generation_config.json: eos_token_id"),
    "beams": ({"num_beams": 10**6}, "generation_config.json: num_beams"),
    "NaN": ({"temperature": float("nan")}, "generation_config.json: temperature"),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_of_a_stranger_are_checked(case):
    said, expected = SETTINGS[case]
    wanted: dict[str, Any] | str = expected
    network = build("GPT-2")
    plan = tilewright.compile(network, "ideal", example_inputs={"input_ids": IDS})
    assert FILE in plan.tokenizer_files
    plan.tokenizer_files[FILE] = json.dumps(said).encode()
    if isinstance(wanted, dict):
        assert generation_settings(plan, 200) == wanted
        return
    with pytest.raises(InputError, match=wanted):
        generation_settings(plan, 200)


def test_a_damaged_file_of_settings_is_one_sentence(plan):
    damaged = replace(plan, tokenizer_files={**plan.tokenizer_files, FILE: b"{"})
    with pytest.raises(InputError, match=r"generation_config\.json cannot be read"):
        tilewright.AnalogModelForCausalLM.from_plan(damaged, ideal=True)


def test_the_command(plan, tmp_path):
    folder = plan.save(tmp_path / "plan")
    words = ["generate", str(folder), *PROMPTS, "--tokens", str(TOKENS), "--time", "1d", "--seed", "2", "--json"]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    session = tilewright.Session(plan, seed=2).advance_to("1d")
    assert [one["text"] for one in json.loads(found.output)["texts"]] == session.generate(
        PROMPTS, max_new_tokens=TOKENS
    )
    drawn = [CliRunner().invoke(app, [*words, "--temperature", "1", "--top-k", "20"]).output for _ in range(2)]
    assert json.loads(drawn[0])["texts"] == json.loads(drawn[1])["texts"]
