"""Log-likelihoods of continuations: how likely a language model holds the tokens that follow a context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tilewright.runtime.storage.weights_file import tensor_bytes
from tilewright.runtime.tasks.language.causal_text import CausalTextEncoder, Pair
from tilewright.runtime.tasks.logits import LOGITS
from tilewright.runtime.tasks.task import Sample, Task
from tilewright.targets.errors import InputError

Answer = tuple[float, bool]
"""Log-likelihood of a continuation in nats, and whether each of its tokens is the likeliest one."""


class Wanted(NamedTuple):
    """A continuation of a sample: its tokens, and how many tokens the model has read when the last is due."""

    tokens: Sequence[int]
    end: int


class Continuations(Task):
    """Continuations of contexts, scored in one pass each. Predictions are an ``Answer`` each.

    Contexts that are too long lose their first tokens. Pairs of one and the same input are one sample: choices of one
    token are read off the same pass, as lm-eval's own models do.
    """

    def __init__(self, encoder: CausalTextEncoder, pairs: Sequence[Pair]) -> None:
        """Prepare the passes. Raises ``InputError`` for a context or continuation without tokens, or too long a one."""
        self.samples: list[Sample] = []
        self._wanted: list[list[Wanted]] = []
        self._numbers: dict[bytes, int] = {}
        self._places = [self._placed(encoder, list(context), list(found)) for context, found in pairs]
        self.labels = [list(found) for _, found in pairs]

    def _placed(self, encoder: CausalTextEncoder, context: list[int], found: list[int]) -> tuple[int, int]:
        """Number of the sample, and which of its continuations this is."""
        if not context or not found:
            raise InputError(f"a {'continuation' if context else 'context'} has no token, so it has no likelihood")
        if len(found) > encoder.longest:
            raise InputError(f"a continuation has {len(found)} tokens, the model reads {encoder.longest} at once")
        ids = (context + found)[-(encoder.longest + 1) : -1]
        sample = encoder.padded(ids)
        number = self._numbers.setdefault(_name(sample), len(self.samples))
        if number == len(self.samples):
            self.samples.append(sample)
            self._wanted.append([])
        self._wanted[number].append(Wanted(found, len(ids)))
        return number, len(self._wanted[number]) - 1

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Log-likelihood of each continuation of each sample, and 1 if it is the likeliest [samples, most, 2]."""
        logits = outputs[LOGITS]
        wanted = [
            self._wanted[self._numbers[_name({name: value[row] for name, value in inputs.items()})]]
            for row in range(len(logits))
        ]
        found = torch.zeros(len(logits), max(map(len, self._wanted)), 2, dtype=torch.float64)
        for row, several in enumerate(wanted):
            for place, (tokens, end) in enumerate(several):
                due = torch.as_tensor(tokens, device=logits.device)
                scores = logits[row, end - len(due) : end].float()
                likely = scores.log_softmax(dim=-1).gather(1, due[:, None]).double().sum()
                found[row, place] = torch.stack([likely, (scores.argmax(dim=-1) == due).all().double()])
        return found

    def predictions(self, kept: Sequence[Tensor]) -> list[Answer]:
        """Log-likelihood of each continuation, and whether it is the likeliest."""
        return [(float(kept[number][place, 0]), bool(kept[number][place, 1])) for number, place in self._places]


def _name(sample: Sample) -> bytes:
    return b"".join(tensor_bytes(value) for _, value in sorted(sample.items()))
