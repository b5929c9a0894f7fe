"""Plans of causal language models as models of transformers: its ``generate``, pipelines and evaluations run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel, StoppingCriteria
from transformers.modeling_outputs import CausalLMOutputWithPast

from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.execution.kept_rows import keeping_rows
from tilewright.runtime.execution.session import Session
from tilewright.runtime.plan.plan import Plan, load
from tilewright.runtime.tasks.language.causal_text import CausalTextEncoder
from tilewright.runtime.tasks.logits import LOGITS
from tilewright.targets.errors import InputError

IDS, MASK = "input_ids", "attention_mask"


class AnalogConfig(PretrainedConfig):  # type: ignore[misc]
    """Configuration of a plan's language model, as transformers asks for it."""

    model_type = "tilewright"


class AnalogModelForCausalLM(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """A plan of a causal language model on one programmed chip at one time, as a model of transformers.

    Reads are named by the number of a prompt and the place of a token in it, so a prompt has the same text whatever
    stands beside it in a batch, and however it is padded. Prompts are numbered on from call to call of ``generate``.
    What tiles gave for a token is kept for the tokens after it, which changes nothing but speed.
    """

    config_class = AnalogConfig
    main_input_name = IDS

    def __init__(self, session: Executable, special: dict[str, int | None] | None = None) -> None:
        """Take a session. special: ids of special tokens by transformers' names, such as ``eos_token_id``.

        Raises ``InputError`` for a plan that is of no causal language model.
        """
        document = session.plan.document
        shapes = {record.name: record.shape for record in document.outputs}
        taken = {record.name for record in document.inputs}
        if len(shapes.get(LOGITS, ())) != 3 or IDS not in taken or "decoder_input_ids" in taken:
            raise InputError(
                f"a causal language model takes {IDS} and gives {LOGITS} of [batch, sequence, vocabulary]; the plan "
                f"takes {', '.join(sorted(taken))} and gives "
                + ", ".join(f"{name} of {list(shape)}" for name, shape in shapes.items())
            )
        vocabulary = shapes[LOGITS][-1]
        super().__init__(AnalogConfig(vocab_size=vocabulary, use_cache=False, **(special or {})))
        self.session = session
        self.generation_config = GenerationConfig(use_cache=False, **(special or {}))
        self._takes_mask = MASK in taken
        sequence = document.dimensions.get("sequence")
        self._longest = sequence.maximum if sequence is not None else None
        self._running: Executable | None = None
        self._prompts: Sequence[int] | None = None

    @classmethod
    def from_plan(
        cls, plan: Plan | str | Path, *, time: str | float = "1s", seed: int = 0, **how: Any
    ) -> AnalogModelForCausalLM:
        """Model of a plan, or of a plan's folder, on the chip that a seed names.

        time: since programming, in seconds or as text ("1mo"). how: as of ``Session``: repeat, adapter, ideal.
        Raises ``InputError`` as ``Session`` does, and for a plan of no causal language model.
        """
        loaded = load(str(plan)) if isinstance(plan, str | Path) else plan
        session = Session(loaded, seed, **how).advance_to(time)
        return cls(session, special_tokens(loaded))

    @property
    def device(self) -> torch.device:
        """Device of inputs and outputs."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Type of the logits."""
        return torch.float32

    def can_generate(self) -> bool:
        """True: the plan gives logits of the next token."""
        return True

    def prepare_inputs_for_generation(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> Any:
        """Inputs of a step: the whole text so far, of which layers keep what they gave before."""
        return {IDS: input_ids, MASK: attention_mask}

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None, **_: Any
    ) -> CausalLMOutputWithPast:
        """Logits [batch, sequence, vocabulary] of tokens [batch, sequence]; those of padding are zeros.

        labels: tokens [batch, sequence] whose loss is wanted, -100 where none is. Raises ``InputError`` for a text that
        is longer than the plan takes.
        """
        batch, length = input_ids.shape
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if self._longest is not None and length > self._longest:
            raise InputError(f"a text has {length} tokens with its padding; the plan takes {self._longest} at most")
        moved, kept = _to_the_left(input_ids, mask)
        given = {IDS: moved, MASK: kept} if self._takes_mask else {IDS: moved}
        runner = self._running or self.session
        logits = runner.run(given, samples=self._samples(batch))[LOGITS]
        if self._running is not None:  # transformers asks for those of the last token alone
            last = kept.sum(dim=1) - 1
            return CausalLMOutputWithPast(logits=logits[torch.arange(batch), last].unsqueeze(1))
        logits = _back(logits, mask, kept).clone()  # so that what runs without gradients may go on outside
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=logits.shape[-1])
        return CausalLMOutputWithPast(loss=loss, logits=logits)

    def generate(self, inputs: Tensor | None = None, **how: Any) -> Any:
        """Texts that go on from prompts [batch, sequence], as transformers' ``generate`` makes them with ``how``."""
        prompts = inputs if inputs is not None else how.get(IDS)
        if not isinstance(prompts, Tensor) or prompts.dim() != 2:
            raise InputError(f"generate takes {IDS} [batch, sequence]")
        self._prompts, self._running = self.session.next_samples(len(prompts)), _with_kept_rows(self.session)
        try:
            return super().generate(inputs, **how)
        finally:
            self._prompts = self._running = None

    def _samples(self, batch: int) -> list[int] | None:
        """Number of each row's prompt while texts are generated: rows of one prompt follow one another."""
        if self._prompts is None:
            return None
        each = batch // len(self._prompts)
        return [number for number in self._prompts for _ in range(each)]


class Until(StoppingCriteria):  # type: ignore[misc]
    """End of each row as soon as its text holds one of several."""

    def __init__(self, text_of: Callable[[Tensor], str], ends: Sequence[str]) -> None:
        """Take the text of a row of tokens, and what ends it."""
        self.text_of, self.ends = text_of, ends

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Rows that end here [batch]."""
        texts = map(self.text_of, input_ids)
        return torch.tensor([any(end in text for end in self.ends) for text in texts])


def _with_kept_rows(session: Executable) -> Executable:
    return Executable(session.plan, keeping_rows(session.plan, session.graph.modules), session.seconds, session)


def _to_the_left(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens and mask with the padding behind each text: places of tokens then do not depend on the batch."""
    order = torch.argsort(mask.ne(0).logical_not().to(torch.int8), dim=1, stable=True)
    return ids.gather(1, order), mask.gather(1, order)


def _back(logits: Tensor, mask: Tensor, kept: Tensor) -> Tensor:
    """Logits in the places that the texts had; zeros where padding was."""
    found = torch.zeros_like(logits)
    found[mask.ne(0)] = logits[kept.ne(0)]
    return found


def special_tokens(plan: Plan) -> dict[str, int | None]:
    """Ids of the plan's special tokens, by transformers' names; that of padding is that of an end if there is none."""
    if not plan.document.tokenizer:
        return {}
    encoder = CausalTextEncoder(plan)
    found = {f"{name}_id": encoder.special_token(name) for name in ("bos_token", "eos_token", "pad_token")}
    if found["pad_token_id"] is None:
        found["pad_token_id"] = found["eos_token_id"]
    return found
