"""Plans of language models as models of transformers: its ``generate``, pipelines and evaluations run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel, StoppingCriteria
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutputWithPast, Seq2SeqLMOutput

from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.execution.kept_rows import keeping_rows
from tilewright.runtime.execution.session import Session
from tilewright.runtime.plan.plan import Plan, load
from tilewright.runtime.tasks.language.causal_text import DECODER_IDS
from tilewright.runtime.tasks.language.generation_settings import generation_settings
from tilewright.runtime.tasks.logits import LOGITS
from tilewright.targets.errors import InputError

IDS, MASK = "input_ids", "attention_mask"
PADDING = "pad_token_id"
ENCODED = (IDS, "input_features", "pixel_values", "input_values")
"""Inputs of encoders, by transformers' names."""


class AnalogConfig(PretrainedConfig):  # type: ignore[misc]
    """Configuration of a plan's language model, as transformers asks for it."""

    model_type = "tilewright"


class AnalogModel(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """A plan on one programmed chip at one time, as a model of transformers that makes texts, of whatever kind."""

    config_class = AnalogConfig
    takes = IDS
    """Input of the plan that grows by a token a step."""

    def __init__(self, session: Executable) -> None:
        """Take a session. Raises ``InputError`` for a plan of another kind of model."""
        document = session.plan.document
        self._check(session.plan)
        vocabulary = int(next(record.shape[-1] for record in document.outputs if record.name == LOGITS))
        settings = generation_settings(session.plan, vocabulary)
        ids = {name: value for name, value in settings.items() if name in ("bos_token_id", "eos_token_id", PADDING)}
        two = {"is_encoder_decoder": self.takes != IDS}
        super().__init__(AnalogConfig(vocab_size=vocabulary, use_cache=False, **two, **ids))
        self.session = session
        self.generation_config = GenerationConfig(use_cache=False, **settings)
        self._names = {record.name for record in document.inputs}
        dimension = next(record.shape[1] for record in document.inputs if record.name == self.takes)
        sizes = document.dimensions.get(str(dimension))
        self._longest = sizes.maximum if sizes is not None else None
        self._running: Executable | None = None
        self._prompts: Sequence[int] | None = None

    @classmethod
    def from_plan(cls, plan: Plan | str | Path, *, time: str | float = "1s", seed: int = 0, **how: Any) -> Self:
        """Model of a plan, or of a plan's folder, on the chip that a seed names.

        time: since programming, in seconds or as text ("1mo"). how: as of ``Session``: repeat, adapter, ideal.
        Raises ``InputError`` as ``Session`` does, and for a plan of another kind of model.
        """
        loaded = load(str(plan)) if isinstance(plan, str | Path) else plan
        cls._check(loaded)  # before a chip is programmed
        return cls(Session(loaded, seed, **how).advance_to(time))

    @classmethod
    def _check(cls, plan: Plan) -> None:
        raise NotImplementedError

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

    def generate(self, inputs: Tensor | None = None, **how: Any) -> Any:
        """Texts for a batch of inputs [batch, ...], as transformers' ``generate`` makes them with ``how``."""
        given = inputs if inputs is not None else how.get(self.main_input_name)
        if not isinstance(given, Tensor) or given.dim() < 2:
            raise InputError(f"generate takes {self.main_input_name} [batch, ...]")
        self._prompts = self.session.next_samples(len(given))
        self._running = _with_kept_rows(self.session, None if self.takes == IDS else self.takes)
        try:
            return super().generate(inputs, **how)
        finally:
            self._prompts = self._running = None

    def _logits(self, given: dict[str, Tensor]) -> Tensor:
        """Logits [batch, tokens, vocabulary] of inputs by the plan's names, of which it takes those that it has."""
        length = given[self.takes].shape[1]
        if self._longest is not None and length > self._longest:
            raise InputError(f"a text has {length} tokens with its padding; the plan takes {self._longest} at most")
        runner = self._running or self.session
        inputs = {name: value for name, value in given.items() if name in self._names}
        return runner.run(inputs, samples=self._samples(len(given[self.takes])))[LOGITS]

    def _samples(self, batch: int) -> list[int] | None:
        """Number of each row's prompt while texts are generated: rows of one prompt follow one another."""
        if self._prompts is None:
            return None
        each = batch // len(self._prompts)
        return [number for number in self._prompts for _ in range(each)]


class AnalogModelForCausalLM(AnalogModel):
    """A plan of a causal language model on one programmed chip at one time, as a model of transformers.

    Reads are named by the number of a prompt and the place of a token in it, so a prompt has the same text whatever
    stands beside it in a batch, and however it is padded. Prompts are numbered on from call to call of ``generate``.
    What tiles gave for a token is kept for the tokens after it, which changes nothing but speed.
    """

    main_input_name = IDS

    @classmethod
    def _check(cls, plan: Plan) -> None:
        if not _gives_logits(plan) or IDS not in _inputs(plan) or DECODER_IDS in _inputs(plan):
            raise InputError(
                f"a causal language model takes {IDS} and gives {LOGITS} of [batch, sequence, vocabulary]; "
                + _takes_and_gives(plan)
            )

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
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        moved, kept = _to_the_left(input_ids, mask)
        logits = self._logits({IDS: moved, MASK: kept})
        if self._running is not None:  # transformers asks for those of the last token alone
            last = kept.sum(dim=1) - 1
            return CausalLMOutputWithPast(logits=logits[torch.arange(len(last)), last].unsqueeze(1))
        logits = _back(logits, mask, kept).clone()  # so that what runs without gradients may go on outside
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=logits.shape[-1])
        return CausalLMOutputWithPast(loss=loss, logits=logits)


class AnalogModelForSeq2SeqLM(AnalogModel):
    """A plan of an encoder with a decoder on one programmed chip at one time, as a model of transformers.

    The encoder takes texts (T5, BART), sound (Whisper) or images. What it gives is computed once for a text. Reads are
    named as those of ``AnalogModelForCausalLM``: the same text whatever the batch.
    """

    takes = DECODER_IDS

    def __init__(self, session: Executable) -> None:
        """Take a session. Raises ``InputError`` for a plan of another kind of model."""
        super().__init__(session)
        self.main_input_name = _of_encoder(session.plan)
        self.encoder = _AsGiven(self.main_input_name)

    @classmethod
    def _check(cls, plan: Plan) -> None:
        if not _gives_logits(plan) or DECODER_IDS not in _inputs(plan) or _of_encoder(plan) not in _inputs(plan):
            raise InputError(
                f"an encoder with a decoder takes {DECODER_IDS} beside one of {', '.join(ENCODED)} and gives {LOGITS} "
                f"of [batch, sequence, vocabulary]; {_takes_and_gives(plan)}"
            )

    def get_encoder(self, *_: Any, **__: Any) -> nn.Module:
        """Module that gives the encoder's input as it is: a plan runs encoder and decoder as one graph."""
        return self.encoder

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, encoder_outputs: Any = None, **kwargs: Any
    ) -> Any:
        """Inputs of a step: the whole text so far, beside what the encoder takes.

        kwargs: nothing that a step needs; by their name transformers allows what ``forward`` takes.
        """
        return {DECODER_IDS: input_ids, MASK: attention_mask, "encoder_outputs": encoder_outputs}

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        encoder_outputs: Any = None,
        labels: Tensor | None = None,
        input_features: Tensor | None = None,
        pixel_values: Tensor | None = None,
        input_values: Tensor | None = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Logits [batch, decoder sequence, vocabulary] of the decoder's tokens, for inputs of the encoder.

        input_ids, input_features, pixel_values, input_values: of the encoder, whichever it takes; attention_mask: of
        its tokens. labels:
        tokens of the decoder whose loss is wanted, -100 where none is. Raises ``InputError`` for a missing input, and
        for a text that is longer than the plan takes.
        """
        own = dict(zip(ENCODED, (input_ids, input_features, pixel_values, input_values), strict=True))
        encoded = encoder_outputs[0] if encoder_outputs is not None else own[self.main_input_name]
        if encoded is None or decoder_input_ids is None:
            raise InputError(f"the model takes {self.main_input_name} and {DECODER_IDS}")
        given = {self.main_input_name: encoded, DECODER_IDS: decoder_input_ids}
        if attention_mask is not None and self.main_input_name == IDS:
            given[IDS], given[MASK] = _to_the_left(encoded, attention_mask)
        logits = self._logits(given)
        if self._running is not None:
            return Seq2SeqLMOutput(logits=logits[:, -1:])
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return Seq2SeqLMOutput(loss=loss, logits=logits.clone())


class _AsGiven(nn.Module):
    """Encoder of transformers' ``generate`` that gives what it takes."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.main_input_name = name

    def forward(self, **given: Any) -> BaseModelOutput:
        return BaseModelOutput(last_hidden_state=given[self.main_input_name])


def model_of(session: Executable) -> AnalogModel:
    """Model of a session's plan: with a decoder of its own where the plan takes its tokens."""
    kind = AnalogModelForSeq2SeqLM if DECODER_IDS in _inputs(session.plan) else AnalogModelForCausalLM
    return kind(session)


class Until(StoppingCriteria):  # type: ignore[misc]
    """End of each row as soon as its text holds one of several."""

    def __init__(self, text_of: Callable[[Tensor], str], ends: Sequence[str]) -> None:
        """Take the text of a row of tokens, and what ends it."""
        self.text_of, self.ends = text_of, ends

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Rows that end here [batch]."""
        texts = map(self.text_of, input_ids)
        return torch.tensor([any(end in text for end in self.ends) for text in texts])


def _with_kept_rows(session: Executable, growing: str | None) -> Executable:
    """A session whose layers keep what they gave. growing: the input that grows, where others stay as they are."""
    made = Executable(session.plan, keeping_rows(session.plan, session.graph.modules), session.seconds, session)
    if growing is not None:
        made.graph.keep_all_but(growing)
    return made


def _inputs(plan: Plan) -> set[str]:
    return {record.name for record in plan.document.inputs}


def _of_encoder(plan: Plan) -> str:
    """Name of what a plan's encoder takes; that of tokens if it takes nothing that is known."""
    return next((name for name in ENCODED if name in _inputs(plan)), IDS)


def _gives_logits(plan: Plan) -> bool:
    return any(record.name == LOGITS and len(record.shape) == 3 for record in plan.document.outputs)


def _takes_and_gives(plan: Plan) -> str:
    """End of a sentence: what a plan takes and gives."""
    gives = ", ".join(f"{record.name} of {list(record.shape)}" for record in plan.document.outputs)
    return f"the plan takes {', '.join(sorted(_inputs(plan)))} and gives {gives}"


def _to_the_left(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens and mask with the padding behind each text: places of tokens then do not depend on the batch."""
    order = torch.argsort(mask.ne(0).logical_not().to(torch.int8), dim=1, stable=True)
    return ids.gather(1, order), mask.gather(1, order)


def _back(logits: Tensor, mask: Tensor, kept: Tensor) -> Tensor:
    """Logits in the places that the texts had; zeros where padding was."""
    found = torch.zeros_like(logits)
    found[mask.ne(0)] = logits[kept.ne(0)]
    return found
