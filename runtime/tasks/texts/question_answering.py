"""Question answering: which words of a text answer a question, by a model with a start and an end logit a token."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.texts.squad_file import read_questions
from tilewright.runtime.tasks.texts.squad_metrics import answer_exact, answer_f1
from tilewright.runtime.tasks.texts.windows import WindowEncoder
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_whole
from tilewright.targets.shown import shown

START, END = "start_logits", "end_logits"


class QuestionAnswering(Task):
    """Answers to questions on texts (SQuAD), by F1 of their words.

    A text longer than the model takes is read in windows. The answer is the span with the largest sum of its first
    token's start logit and its last token's end logit, in any window. Where a question may have no answer, the sum at
    the first token of a window speaks for none; the least of the windows counts.
    """

    metric_of: Callable[[float | None], Metric] = staticmethod(answer_f1)
    """Function from the share of questions without an answer, in %, to the metric; the share is None in SQuAD 1.1."""

    def __init__(
        self,
        plan: Plan,
        data: Path,
        limit: int | None,
        *,
        length: int = 384,
        stride: int = 128,
        answer_length: int = 30,
        candidates: int = 20,
        threshold: float = 0.0,
    ) -> None:
        """Read a file of SQuAD 1.1 or 2.0.

        length: tokens of a window, at most; no more than the model takes. stride: tokens that a window shares with the
        next one. answer_length: tokens of an answer, at most. candidates: of each window, so many tokens with the
        largest start logits and so many with the largest end logits. threshold: by how much the sum for no answer must
        be larger than that of the best answer, in version 2.
        """
        check_whole("answer_length", answer_length)
        check_whole("candidates", candidates)
        if isinstance(threshold, bool) or not isinstance(threshold, int | float) or threshold != threshold:
            raise InputError(f"threshold is {shown(threshold)}; it must be a number")
        outputs = [record.name for record in plan.document.outputs]
        if START not in outputs or END not in outputs:
            raise InputError(f"the task needs a model that gives {START} and {END}; the plan has {', '.join(outputs)}")
        self.answer_length, self.candidates, self.threshold = answer_length, candidates, threshold
        questions, self.may_be_impossible = read_questions(data, limit)
        encoder = WindowEncoder(plan, length, stride)
        self.contexts = [asked.context for asked in questions]
        windows = [
            (number, window)
            for number, asked in enumerate(questions)
            for window in encoder.windows(asked.question.lstrip(), asked.context)
        ]
        self.question_of = [number for number, _ in windows]
        self.letters = [window.letters for _, window in windows]
        self.samples = [window.inputs for _, window in windows]
        self.labels = [asked.answers for asked in questions]
        impossible = 100 * sum(not answers for answers in self.labels) / len(self.labels)
        self.metric = self.metric_of(impossible if self.may_be_impossible else None)

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Largest start and end logits of each window, and their tokens [samples, 2, 2, candidates + 1].

        The last of them is the first token, whose logits speak for no answer.
        """
        is_text = inputs["attention_mask"].bool() if "attention_mask" in inputs else None
        return torch.stack([self._largest(outputs[name].float(), is_text) for name in (START, END)], dim=1)

    def _largest(self, logits: Tensor, is_text: Tensor | None) -> Tensor:
        if is_text is not None:
            logits = logits.masked_fill(~is_text, -torch.inf)
        values, tokens = logits.topk(min(self.candidates, logits.shape[1]))
        with_first = torch.cat([values, logits[:, :1]], dim=1), torch.nn.functional.pad(tokens, (0, 1))
        return torch.stack([with_first[0], with_first[1].to(values.dtype)], dim=1)

    def predictions(self, kept: Sequence[Tensor]) -> list[str]:
        """Answers to the questions, as their texts have them; an empty one for no answer."""
        windows = zip(self.question_of, self.letters, kept, strict=True)
        return [
            self._answer(self.contexts[question], ((letters, read.numpy()) for _, letters, read in group))
            for question, group in groupby(windows, key=lambda window: window[0])
        ]

    def _answer(self, context: str, windows: Iterable[tuple[Any, Any]]) -> str:
        answer, best, none = "", -np.inf, np.inf
        for letters, ((start_logits, starts), (end_logits, ends)) in windows:
            none = min(none, start_logits[-1] + end_logits[-1])
            first, last = starts[:-1, None].astype(int), ends[None, :-1].astype(int)
            begin, end = letters[first, 0], letters[last, 1]
            allowed = (begin >= 0) & (end >= 0) & (first <= last) & (last < first + self.answer_length)
            if self.may_be_impossible:
                allowed &= begin < end
            sums = np.where(allowed, start_logits[:-1, None] + end_logits[None, :-1], -np.inf)
            row, column = np.unravel_index(sums.argmax(), sums.shape)
            if sums[row, column] > best:
                best, answer = sums[row, column], context[begin[row, 0] : end[0, column]]
        return "" if self.may_be_impossible and none - best > self.threshold else answer

    def fingerprint(self) -> str:
        """SHA-256 of what is measured: also of the texts that answers are taken from, and of how they are chosen."""
        how = [self.may_be_impossible, self.answer_length, self.candidates, self.threshold, self.contexts]
        return hashlib.sha256(f"{super().fingerprint()}\0{json.dumps(how)}".encode()).hexdigest()


class ExactAnswers(QuestionAnswering):
    """Answers to questions on texts (SQuAD), by exact match."""

    metric_of: Callable[[float | None], Metric] = staticmethod(answer_exact)
