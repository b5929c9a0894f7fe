"""Texts that go on from prompts, by a plan of a language model on one chip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

from torch import Tensor

from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.tasks.language.causal_text import CausalTextEncoder
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_whole

TOKENS = 50
"""Tokens that are made where nobody says how many."""


@overload
def generate(
    session: Executable,
    prompts: str | Sequence[str],
    *,
    max_new_tokens: int = ...,
    until: Sequence[str] = ...,
    **how: Any,
) -> list[str]: ...


@overload
def generate(
    session: Executable, prompts: Tensor, *, max_new_tokens: int = ..., until: Sequence[str] = ..., **how: Any
) -> Tensor: ...


def generate(
    session: Executable,
    prompts: str | Sequence[str] | Tensor,
    *,
    max_new_tokens: int = TOKENS,
    until: Sequence[str] = (),
    **how: Any,
) -> list[str] | Tensor:
    """Texts that go on from prompts: what is new alone; of token ids [batch, sequence], all ids.

    Of an encoder with a decoder prompts are what the encoder takes: texts, token ids, or numbers such as sound's
    [batch, bins, frames]; all of what the decoder writes comes back. max_new_tokens: at most so many. until: texts at
    the first of which a text ends, which it is then without. how: as transformers' ``generate`` takes it, such as
    do_sample, temperature, top_k, num_beams; without, the likeliest token is taken each time, by the rules of the
    model's own generation_config.json. Prompts are numbered on from call to call, as samples are, and the number names
    the noise. Raises ``InputError`` for a plan of no such model, for texts where it has no tokenizer, for prompts that
    are too long, and for what transformers refuses.
    """
    if isinstance(prompts, Tensor):
        if until:
            raise InputError("texts end at others where prompts are texts; these are token ids")
        return _generated(session, prompts, max_new_tokens, how)
    encoder = CausalTextEncoder(session.plan)
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    return continued(session, encoder, [encoder.tokens(text) for text in texts], max_new_tokens, until, **how)


def continued(
    session: Executable,
    encoder: CausalTextEncoder,
    rows: Sequence[Sequence[int]],
    max_new_tokens: int,
    until: Sequence[str] = (),
    **how: Any,
) -> list[str]:
    """Texts that go on from prompts of these tokens; see ``generate``."""
    check_whole("max_new_tokens", max_new_tokens)
    if not rows or not all(rows):
        raise InputError("a prompt without tokens says nothing to go on from; give one with a word")
    longest, prompt = encoder.most_tokens, max(map(len, rows))
    more = 0 if encoder.has_decoder else max_new_tokens
    if longest is not None and prompt + more > longest:
        getting = "" if encoder.has_decoder else f" and may get {more} more"
        raise InputError(f"a prompt has {prompt} tokens{getting}; the plan takes {longest}")
    tokens, mask = encoder.side_by_side(rows)
    first = 0 if encoder.has_decoder else tokens.shape[1]
    if until:
        ends = _with_transformers().Until(lambda row: encoder.text(row[first:].tolist()), until)
        how["stopping_criteria"] = [*how.get("stopping_criteria", ()), ends]
    found = _generated(session, tokens, max_new_tokens, {**how, "attention_mask": mask})
    return [_before(encoder.text(row[first:].tolist()), until) for row in found]


def _with_transformers() -> Any:
    """Module of the plan as a model of transformers. Raises ``InputError`` where that is not installed."""
    try:
        from tilewright.runtime.tasks.language import analog_model
    except ImportError as error:
        raise InputError(
            f"generating text needs transformers ({error}); install it with: pip install 'tilewright[huggingface]'"
        ) from error
    return analog_model


def _generated(session: Executable, ids: Tensor, max_new_tokens: int, how: dict[str, Any]) -> Tensor:
    check_whole("max_new_tokens", max_new_tokens)
    model = _with_transformers().model_of(session)
    try:
        found: Tensor = model.generate(ids, **{"do_sample": False, "max_new_tokens": max_new_tokens, **how})
        return found
    except InputError:
        raise
    except (ValueError, TypeError) as error:  # transformers' own checks of what it is told
        raise InputError(f"transformers' generate refuses it: {str(error).splitlines()[0]}") from error


def _before(text: str, until: Sequence[str]) -> str:
    """A text up to the first of several ends."""
    places = [place for end in until if (place := text.find(end)) >= 0]
    return text[: min(places)] if places else text
