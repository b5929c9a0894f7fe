"""Texts that decoders write for encoders: transformers' own in full precision, the same whatever the batch."""

import pytest
import torch
from transformers import GenerationMixin

import tilewright
from tests.families import build
from tests.small_llama import save_small_tokenizer
from tilewright.runtime.execution.kept_part import KeptPart
from tilewright.runtime.execution.kept_rows import KeptRows, keeping_rows
from tilewright.runtime.tasks.language import analog_model
from tilewright.targets.errors import InputError

FAMILIES = ("T5", "BART", "Whisper")
TOKENS = 8
IDS = torch.randint(3, 200, (3, 7), generator=torch.Generator().manual_seed(1))
MASK = torch.ones_like(IDS)
MASK[1, 5:] = 0
SOUND = torch.randn(3, 16, 80, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    """Network, plan, and inputs by name."""
    network = build(request.param, vocab_size=320)  # the tokenizer's
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1:  # so that texts differ from prompt to prompt
                parameter.mul_(1.3 if request.param == "T5" else 12.0 if "decoder" in name else 4.0)
    folder = tmp_path_factory.mktemp("model")
    network.save_pretrained(folder)
    if request.param != "Whisper":
        save_small_tokenizer(folder)
    plan = tilewright.compile(folder, "pcm-512-dynamic")
    given = {"input_features": SOUND} if request.param == "Whisper" else {"input_ids": IDS, "attention_mask": MASK}
    return network, plan, given


def made(model, given, **how):
    return model.generate(**given, **{"max_new_tokens": TOKENS, "do_sample": False, "eos_token_id": None, **how})


def on_chip(plan, **how):
    return tilewright.AnalogModelForSeq2SeqLM.from_plan(plan, time="1d", seed=2, **how)


@pytest.mark.parametrize("how", [{}, {"num_beams": 3}], ids=["the likeliest", "beams"])
def test_in_full_precision_it_is_transformers_own_text(family, how):
    network, plan, given = family
    wanted = GenerationMixin.generate(network, **given, max_new_tokens=TOKENS, do_sample=False, **how)
    assert torch.equal(made(on_chip(plan, ideal=True), given, eos_token_id=network.config.eos_token_id, **how), wanted)


def test_a_text_is_the_same_alone_and_in_a_batch(family):
    _, plan, given = family
    together, model = made(on_chip(plan), given), on_chip(plan)
    alone = [made(model, {name: value[row : row + 1] for name, value in given.items()}) for row in range(3)]
    assert torch.equal(torch.cat(alone), together)


def test_what_is_kept_changes_nothing(family, monkeypatch):
    """Each layer reads each row once, and what the encoder gives is made once."""
    _, plan, given = family
    layers: list[KeptRows] = []
    parts: list[KeptPart] = []

    def watched(*given):
        modules = keeping_rows(*given)
        layers.extend(one for one in modules.values() if isinstance(one, KeptRows))
        return modules

    monkeypatch.setattr(analog_model, "keeping_rows", watched)
    first = KeptPart.__init__

    def noted(self, *given):
        parts.append(self)
        first(self, *given)

    monkeypatch.setattr(KeptPart, "__init__", noted)
    kept = made(on_chip(plan), given)
    rows = {layer.read for layer in layers}
    assert 3 * TOKENS in rows  # the decoder's
    assert len(rows) == 2 if "input_ids" in given else rows  # and those of the encoder, once
    (part,) = parts
    assert part.made == 1
    monkeypatch.setattr(analog_model, "_with_kept_rows", lambda session, _growing: session)
    assert torch.equal(made(on_chip(plan), given), kept)


def test_texts_of_a_session(family):
    _, plan, given = family
    session = tilewright.Session(plan, seed=2).advance_to("1d")
    if "input_features" in given:
        assert session.generate(SOUND, max_new_tokens=2).shape == (3, 3)
        with pytest.raises(InputError, match="no tokenizer, so it cannot take text"):
            session.generate("a text")
        return
    texts = session.generate(["The plan", "A chip", "Weights are"], max_new_tokens=TOKENS)
    again = tilewright.Session(plan, seed=2).advance_to("1d")
    one = [again.generate(text, max_new_tokens=TOKENS)[0] for text in ("The plan", "A chip", "Weights are")]
    assert one == texts
    assert session.generate(IDS, max_new_tokens=2).shape == (3, 3)  # with the decoder's first token


def test_logits_and_loss(family):
    _, plan, given = family
    model = on_chip(plan, ideal=True)
    decoder = IDS[:, :5]
    found = model(**given, decoder_input_ids=decoder, labels=decoder)
    wanted = tilewright.Session(plan, ideal=True)(**given, decoder_input_ids=decoder)["logits"]
    assert torch.equal(found.logits, wanted)
    expected = torch.nn.functional.cross_entropy(wanted.flatten(0, 1), decoder.flatten())
    assert float(found.loss) == pytest.approx(float(expected), rel=1e-5)
    with pytest.raises(InputError, match="the model takes"):
        model(**given)


def test_a_text_that_is_too_long_is_one_sentence(family):
    _, plan, given = family
    longest = plan.document.dimensions.get("decoder_sequence") or plan.document.dimensions["sequence"]
    if longest.maximum is None:
        return
    with pytest.raises(InputError, match=f"the plan takes {longest.maximum} at most"):
        made(on_chip(plan, ideal=True), given, max_new_tokens=80)


def test_plans_without_a_decoder_are_refused():
    network = build("BERT")
    plan = tilewright.compile(network, "ideal", example_inputs={"input_ids": IDS})
    with pytest.raises(InputError, match="an encoder with a decoder takes decoder_input_ids"):
        on_chip(plan)
