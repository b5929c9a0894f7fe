"""Beginnings and ends of a model's texts, and rules of their tokens: generation_config.json, which a plan carries."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictBool, StrictFloat, StrictInt, ValidationError

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.language.causal_text import CausalTextEncoder
from tilewright.targets.errors import InputError, first_problem
from tilewright.targets.shown import shown

FILE = "generation_config.json"
MOST_IDS = 4096
Ids = Annotated[list[StrictInt], Field(max_length=MOST_IDS)]
Number = Annotated[StrictFloat | StrictInt, Field(ge=-1e6, le=1e6)]
Count = Annotated[StrictInt, Field(ge=0, le=2**20)]


class GenerationSettings(BaseModel, extra="ignore", allow_inf_nan=False):
    """Settings of transformers' ``GenerationConfig`` that a plan carries; all others are transformers' own defaults."""

    bos_token_id: StrictInt | None = None
    eos_token_id: StrictInt | Ids | None = None
    pad_token_id: StrictInt | None = None
    decoder_start_token_id: StrictInt | None = None
    forced_bos_token_id: StrictInt | None = None
    forced_eos_token_id: StrictInt | Ids | None = None
    suppress_tokens: Ids | None = None
    begin_suppress_tokens: Ids | None = None
    do_sample: StrictBool | None = None
    temperature: Number | None = None
    top_k: Count | None = None
    top_p: Number | None = None
    min_p: Number | None = None
    repetition_penalty: Number | None = None
    no_repeat_ngram_size: Count | None = None
    num_beams: Annotated[StrictInt, Field(ge=1, le=64)] | None = None
    length_penalty: Number | None = None
    early_stopping: StrictBool | None = None
    min_length: Count | None = None


WRITTEN = ("decoder_start", "forced")
"""Beginnings of the names of tokens that are written into texts, whatever the logits."""


def written(config: Any) -> bytes:
    """File of what a model's ``GenerationConfig`` says of these settings, the same whatever wrote the config."""
    said = {name: getattr(config, name, None) for name in GenerationSettings.model_fields}
    return json.dumps({name: value for name, value in said.items() if value is not None}, indent=1).encode()


def generation_settings(plan: Plan, vocabulary: int) -> dict[str, Any]:
    """Settings of a plan's texts by transformers' names: the model's own, else special tokens of its tokenizer.

    The id of padding is that of an end if there is none. Raises ``InputError`` for a file that is damaged, or that
    names tokens which the model has not.
    """
    found = _of_file(plan.tokenizer_files.get(FILE, b"{}"), vocabulary)
    left = [name for name in ("bos_token", "eos_token", "pad_token") if f"{name}_id" not in found]
    if left and plan.document.tokenizer and "tokenizer.json" in plan.tokenizer_files:
        encoder = CausalTextEncoder(plan)
        found |= {f"{name}_id": encoder.special_token(name) for name in left}
    if found.get("pad_token_id") is None and found.get("eos_token_id") is not None:
        ends = found["eos_token_id"]
        found["pad_token_id"] = ends[0] if isinstance(ends, list) else ends
    return {name: value for name, value in found.items() if value is not None}


def _of_file(content: bytes, vocabulary: int) -> dict[str, Any]:
    try:
        settings = GenerationSettings.model_validate(json.loads(content))
    except ValidationError as error:
        raise InputError(f"the plan's {FILE}: {first_problem(error, GenerationSettings)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"the plan's {FILE} cannot be read: {error}") from error
    found: dict[str, Any] = settings.model_dump(exclude_none=True)
    for name in [name for name in found if name.endswith(("token_id", "tokens"))]:
        ids = found[name] if isinstance(found[name], list) else [found[name]]
        there = [one for one in ids if 0 <= one < vocabulary]  # one that is not there ends or suppresses nothing
        if name.startswith(WRITTEN) and len(there) < len(ids):
            raise InputError(
                f"the plan's {FILE}: {name} is {shown(found[name])}, and the model has {vocabulary} tokens"
            )
        found[name] = (there if isinstance(found[name], list) else there[0]) if there else None
    return found
