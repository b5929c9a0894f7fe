"""Language modelling: how well a causal language model predicts a text file, by windows of tokens."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.logits import LOGITS
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.texts.text import LongText, TextEncoder
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_whole
from tilewright.targets.paths import read_text, shown_path
from tilewright.targets.shown import shown

LARGEST_FILE = 2**26  # bytes
USUAL_LENGTH = 1024
"""Largest window, in tokens, where none is asked for: what attention costs grows with its square."""
LARGEST_LOGITS = 2**28
"""Numbers of logits that are in memory at once."""
TOKENS, WORDS, BYTES = range(3)
"""Columns of labels."""


@dataclass(frozen=True)
class Window:
    """Tokens from begin to end of a text, of which the last ``fresh`` are in no window before."""

    begin: int
    end: int
    fresh: int

    @property
    def counted(self) -> int:
        """Number of tokens whose prediction counts: the fresh ones that have a token before them in the window."""
        return min(self.fresh, self.end - self.begin - 1)


def windows(tokens: int, length: int, stride: int) -> list[Window]:
    """Windows of ``length`` tokens, each ``stride`` after the one before, to a text's end; the last may be shorter."""
    found, seen = [], 0
    for begin in range(0, tokens, stride):
        end = min(begin + length, tokens)
        found.append(Window(begin, end, end - seen))
        seen = end
        if end == tokens:
            break
    return [window for window in found if window.counted]


class LanguageModelling(Task):
    """Perplexity of a text file, for a causal language model. Samples and examples are windows of the text.

    As HuggingFace's guide "Perplexity of fixed-length models" has it: of each window count the tokens that are in no
    window before, and the others are context. Predictions are the negative log-likelihoods of each window's counted
    tokens, summed, in nats, and how many they are [windows, 2]. Labels are of the fresh part of each window: tokens,
    words that begin in it, bytes [windows, 3].
    """

    def __init__(
        self, plan: Plan, data: Path, limit: int | None, *, length: int | None = None, stride: int | None = None
    ) -> None:
        """Read a text file, as it is, and cut it into windows. ``limit``: only the first so many.

        length: of a window, in tokens; what the model takes, but at most 1024, if None. stride: from one window to the
        next, in tokens; half of the length if None, and the length for windows that share no token. Raises
        ``InputError`` for a plan that is no causal language model, and a window that it does not take.
        """
        vocabulary = _vocabulary(plan)
        encoder = TextEncoder(plan)
        size = next(record.shape[1] for record in plan.document.inputs if record.name == "input_ids")
        if length is None:
            length = size if isinstance(size, int) else min(encoder.most_tokens or USUAL_LENGTH, USUAL_LENGTH)
        check_whole("length", length, least=2)
        stride = max(length // 2, 1) if stride is None else stride
        check_whole("stride", stride, most=length)
        text = read_text(data, "text file", LARGEST_FILE)
        tokens = encoder.long_text(text)
        count = len(tokens.ids)
        if count < 2:
            raise InputError(f"{shown_path(data)} has fewer tokens than 2 ({count}), so there is nothing to predict")
        largest = int(tokens.ids.max())
        if largest >= vocabulary:
            raise InputError(
                f"the plan gives {vocabulary} logits a token and the text has the token {largest}, so they are no "
                "predictions of tokens"
            )
        self.windows = windows(count, length, stride)[:limit]
        _check_sizes(plan, size, self.windows)
        self.samples = [encoder.inputs(tokens.ids[window.begin : window.end]) for window in self.windows]
        self.labels = _contents(text, tokens, self.windows)
        self.metric = self.make_metric(vocabulary, f"windows of {length}, stride {stride}")
        self._at_once = max(1, LARGEST_LOGITS // (length * vocabulary))

    @abstractmethod
    def make_metric(self, vocabulary: int, how: str) -> Metric:
        """The metric, on ``labels``. vocabulary: number of tokens that the model knows. how: for the metric's name."""

    def predict(self, session: Executable, batch_size: int) -> Any:
        """Predictions for all windows. At most so many are run at once that their logits fit in memory."""
        return super().predict(session, min(batch_size, self._at_once))

    def loss(self, numbers: Sequence[int], inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Mean negative log-likelihood of the counted tokens, in nats."""
        nats = self.read(inputs, outputs)
        counted = []
        for one, number in zip(nats, numbers, strict=True):  # shorter windows are filled up at their end
            window = self.windows[number]
            last = window.end - window.begin - 1
            counted.append(one[last - window.counted : last])
        return torch.cat(counted).mean()

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Negative log-likelihood of each token but the first, in nats [samples, sequence - 1]."""
        return torch.stack(
            [
                functional.cross_entropy(logits[:-1].float(), ids[1:], reduction="none")
                for logits, ids in zip(outputs[LOGITS], inputs["input_ids"], strict=True)
            ]
        )

    def predictions(self, kept: Sequence[Tensor]) -> Tensor:
        """Sum over the counted tokens of each window, in float64, and their number [windows, 2]."""
        sums = [
            [float(nats[-window.counted :].double().sum()), window.counted]
            for nats, window in zip(kept, self.windows, strict=True)
        ]
        return torch.tensor(sums, dtype=torch.float64)


class Perplexity(LanguageModelling):
    """Perplexity per token: e to the mean negative log-likelihood. Chance is the size of the vocabulary."""

    def make_metric(self, vocabulary: int, how: str) -> Metric:
        """Metric; chance is all tokens equally likely."""

        def of(predictions: Tensor, _labels: Tensor) -> float:
            return _exponential(_nats(predictions))

        return Metric(
            f"perplexity per token ({how})", of, float(vocabulary), larger_is_better=False, in_logarithms=True
        )


class PerplexityPerWord(LanguageModelling):
    """Perplexity per word: that per token to the power of tokens a word. Words stand between white space."""

    def make_metric(self, vocabulary: int, how: str) -> Metric:
        """Metric; chance is all tokens equally likely. Raises ``InputError`` where words are no measure of the text."""

        def of(predictions: Tensor, labels: Tensor) -> float:
            return _exponential(_nats(predictions) * _tokens_per(WORDS, labels))

        if not self.labels[:, WORDS].sum():
            raise InputError("the text has no words, only white space; bits-per-byte needs none")
        tokens = _tokens_per(WORDS, self.labels)
        chance = _exponential(math.log(vocabulary) * tokens)
        if math.isinf(chance):
            raise InputError(
                f"a word of the text has {tokens:.0f} tokens, too many for a perplexity; use bits-per-byte"
            )
        return Metric(f"perplexity per word ({how})", of, chance, larger_is_better=False, in_logarithms=True)


class BitsPerByte(LanguageModelling):
    """Bits per byte: mean negative log-likelihood of a token in bits, times tokens a byte of the text in UTF-8."""

    def make_metric(self, vocabulary: int, how: str) -> Metric:
        """Metric; chance is all tokens equally likely."""

        def each(predictions: Tensor, labels: Tensor) -> Sequence[float]:
            bits = predictions[:, 0] / math.log(2) / predictions[:, 1].mean()
            return list((bits * _tokens_per(BYTES, labels)).tolist())

        def of(predictions: Tensor, labels: Tensor) -> float:
            return _nats(predictions) / math.log(2) * _tokens_per(BYTES, labels)

        chance = math.log2(vocabulary) * _tokens_per(BYTES, self.labels)
        return Metric(f"bits per byte ({how})", of, chance, larger_is_better=False, each=each)


def _nats(predictions: Tensor) -> float:
    """Mean negative log-likelihood of a token, of sums and numbers of tokens [windows, 2]."""
    nats, counted = predictions.sum(dim=0).tolist()
    return float(nats / counted)


def _tokens_per(column: int, labels: Tensor) -> float:
    """Tokens a word or a byte, of all windows together."""
    return float(labels[:, TOKENS].sum() / labels[:, column].sum())


def _exponential(nats: float) -> float:
    """Exponential function of nats; infinite where that is beyond numbers of 64 bits."""
    return float(torch.tensor(nats, dtype=torch.float64).exp())


def _vocabulary(plan: Plan) -> int:
    """Number of logits a token. Raises ``InputError`` for a plan that is no causal language model."""
    shapes = {record.name: record.shape for record in plan.document.outputs}
    logits, architecture = shapes.get(LOGITS), shown(plan.document.model.architecture)
    ids = next((record.shape for record in plan.document.inputs if record.name == "input_ids"), None)
    if ids is None or logits is None or len(ids) != 2 or len(logits) != 3 or logits[1] != ids[1]:
        given = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise InputError(
            f"perplexity is of causal language models, with input_ids [batch, sequence] and logits [batch, sequence, "
            f"vocabulary]; this {architecture} gives {given}"
        )
    if "MaskedLM" in architecture:
        raise InputError(f"perplexity is of causal language models; {architecture} sees the tokens that it predicts")
    if not isinstance(logits[2], int):
        raise InputError(
            f"the plan's logits have shape {list(logits)}, without a number of tokens that they tell apart"
        )
    return logits[2]


def _check_sizes(plan: Plan, size: str | int, found: Sequence[Window]) -> None:
    """Raise ``InputError`` for a window that the plan does not take. size: of the sequence, or its name."""
    allowed = AllowedSizes.of(plan.document)
    for length in sorted({window.end - window.begin for window in found}, reverse=True):
        if isinstance(size, str):
            allowed.check_size(size, length, "a window's ")
        elif length != size:
            raise InputError(
                f"a window has {length} tokens and the plan takes {size}; limit leaves out the last window"
            )


def _contents(text: str, tokens: LongText, found: Sequence[Window]) -> Tensor:
    """Tokens, words that begin, and bytes of the part of the text that is fresh in each window [windows, 3]."""
    starts = torch.tensor([match.start() for match in re.finditer(r"\S+", text)], dtype=torch.int64)
    rows, begin, words = [], 0, 0
    for window in found:
        end = len(text) if window.end == len(tokens.ids) else int(tokens.ends[window.end - 1])
        own = ~tokens.added[window.end - window.fresh : window.end]
        begun = int(torch.searchsorted(starts, end))
        rows.append([int(own.sum()), begun - words, len(text[begin:end].encode())])
        begin, words = end, begun
    return torch.tensor(rows)
