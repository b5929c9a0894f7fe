"""STS-B: rank correlation (Spearman) of similarities of sentences with people's scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.metrics import spearman
from tilewright.runtime.tasks.rows import read_rows
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.text import TextEncoder
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, kind_of
from tilewright.targets.shown import shown

COLUMNS = ("sentence1", "sentence2", "score")


class SemanticSimilarity(Task):
    """Semantic similarity (STS-B) of pairs of sentences with scores from 0 to 5.

    A model with ``logits`` reads both sentences at once and its single logit is the similarity; any other embeds each
    sentence (its own ``sentence_embedding`` if it has one, else the mean over tokens, or the first token where the
    model's folder says so) and the similarity is the cosine.
    """

    metric = spearman()

    def __init__(self, plan: Plan, data: Path, limit: int | None) -> None:
        """Read dev.tsv of a folder, as GLUE has it, or a file, with columns sentence1, sentence2 and score."""
        rows = read_rows(data / "dev.tsv" if kind_of(data) == FOLDER else data, COLUMNS, limit)
        self.labels = torch.tensor([_score(row["score"], number) for number, row in enumerate(rows, start=1)])
        if len(rows) < 2:
            raise InputError(f"{data} has {len(rows)} pairs; a correlation needs at least 2")
        outputs = [record.name for record in plan.document.outputs]
        self.reads_pairs = "logits" in outputs
        self.embeds_itself = "sentence_embedding" in outputs
        if not self.reads_pairs and not self.embeds_itself and "last_hidden_state" not in outputs:
            raise InputError(
                "task stsb needs the output sentence_embedding, last_hidden_state or logits; the plan has "
                f"{', '.join(outputs)}"
            )
        self.pooling = plan.document.model.pooling or "mean"
        pairs = [(str(row["sentence1"]), str(row["sentence2"])) for row in rows]
        texts = pairs if self.reads_pairs else [sentence for pair in pairs for sentence in pair]
        self.samples = TextEncoder(plan).encode(texts)

    def predictions(self, kept: Sequence[Tensor]) -> Tensor:
        """Similarities of the pairs."""
        stacked = torch.stack(list(kept)).double()
        return stacked if self.reads_pairs else (stacked[0::2] * stacked[1::2]).sum(dim=1)

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """One number a pair, or one unit vector a text."""
        if self.reads_pairs:
            logits = outputs["logits"]
            if logits.dim() != 2 or logits.shape[1] != 1:
                raise InputError(f"task stsb needs one logit a pair; the plan's logits have shape {list(logits.shape)}")
            return logits[:, 0]
        if self.embeds_itself:
            return torch.nn.functional.normalize(outputs["sentence_embedding"], dim=1)
        hidden = outputs["last_hidden_state"]
        if self.pooling == "cls":
            vectors = hidden[:, 0]
        else:
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            vectors = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(vectors, dim=1)


def _score(score: Any, row: int) -> float:
    try:
        number = float(score)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"row {row}: score {shown(str(score))} is not a number")
    return number
