"""STS-B: correlation of similarities of sentences with people's scores, by ranks (Spearman) or linear (Pearson)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.logits import LOGITS
from tilewright.runtime.tasks.metrics import pearson, spearman
from tilewright.runtime.tasks.rows import numbers, read_rows, texts
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.texts.text import TextEncoder
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, kind_of, shown_path

COLUMNS = ("sentence1", "sentence2", "score")
LARGEST_SCORE = 5.0


class SemanticSimilarity(Task):
    """Semantic similarity (STS-B) of pairs of sentences with scores from 0 to 5.

    A model with one logit reads both sentences at once, and the logit is the similarity; any other embeds each
    sentence (its own ``sentence_embedding`` if it has one, else the mean over tokens, or the first token where the
    model's folder says so) and the similarity is the cosine.
    """

    metric = spearman()

    def __init__(self, plan: Plan, data: Path, limit: int | None) -> None:
        """Read dev.tsv of a folder, as GLUE has it, or a file, with columns sentence1, sentence2 and score."""
        rows = read_rows(data / "dev.tsv" if kind_of(data) == FOLDER else data, COLUMNS, limit)
        self.labels = torch.tensor(numbers([row["score"] for row in rows], "score"), dtype=torch.float64)
        if len(rows) < 2:
            raise InputError(f"{shown_path(data)} has {len(rows)} pairs; a correlation needs at least 2")
        outputs = {record.name: record.shape for record in plan.document.outputs}
        self.reads_pairs = len(outputs.get(LOGITS, ())) == 2 and outputs[LOGITS][1] == 1
        self.embeds_itself = "sentence_embedding" in outputs
        if not self.reads_pairs and not self.embeds_itself and "last_hidden_state" not in outputs:
            raise InputError(
                "task stsb needs the output sentence_embedding or last_hidden_state, or logits of one column; the plan "
                f"has {', '.join(f'{name} {list(shape)}' for name, shape in outputs.items())}"
            )
        self.pooling = plan.document.model.pooling or "mean"
        sentences = (texts([row[column] for row in rows], column) for column in COLUMNS[:2])
        pairs = list(zip(*sentences, strict=True))
        encoder = TextEncoder(plan)
        self.samples = encoder.encode(pairs if self.reads_pairs else [sentence for pair in pairs for sentence in pair])

    def together(self) -> Sequence[Sequence[int]]:
        """Both sentences of a pair, where each is a sample."""
        if self.reads_pairs:
            return super().together()
        return [[2 * pair, 2 * pair + 1] for pair in range(len(self.labels))]

    def loss(self, numbers: Sequence[int], inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """Mean squared difference of similarities from the scores, in parts of the largest score."""
        read, pairs = self.read(inputs, outputs), [number if self.reads_pairs else number // 2 for number in numbers]
        scores = self.labels[pairs if self.reads_pairs else pairs[0::2]].to(read) / LARGEST_SCORE
        similar = read if self.reads_pairs else (read[0::2] * read[1::2]).sum(dim=1)
        return functional.mse_loss(similar, scores)

    def taught(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """One similarity a pair, or one unit vector a text."""
        return self.read(inputs, outputs)

    def predictions(self, kept: Sequence[Tensor]) -> Tensor:
        """Similarities of the pairs."""
        stacked = torch.stack(list(kept)).double()
        return stacked if self.reads_pairs else (stacked[0::2] * stacked[1::2]).sum(dim=1)

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """One number a pair, or one unit vector a text."""
        if self.reads_pairs:
            return outputs[LOGITS][:, 0]
        if self.embeds_itself:
            return torch.nn.functional.normalize(outputs["sentence_embedding"], dim=1)
        hidden = outputs["last_hidden_state"]
        if self.pooling == "cls":
            vectors = hidden[:, 0]
        else:
            mask = inputs["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            vectors = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(vectors, dim=1)


class SemanticSimilarityPearson(SemanticSimilarity):
    """Semantic similarity (STS-B) by linear correlation (Pearson)."""

    metric = pearson()
