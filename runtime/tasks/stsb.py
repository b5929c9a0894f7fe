"""STS-B: rank correlation (Spearman) of similarities of sentences with people's scores."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch
from scipy.stats import spearmanr
from torch import Tensor

from tilewright.runtime.execution.executable import Executable
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.text import TextEncoder, batches
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, check_file, kind_of

LARGEST_FILE = 2**30  # bytes
COLUMNS = ("sentence1", "sentence2", "score")


class SemanticSimilarity(Task):
    """Semantic similarity (STS-B) of pairs of sentences with scores from 0 to 5.

    A model with ``logits`` reads both sentences at once and its single logit is the similarity; any other embeds each
    sentence (its own ``sentence_embedding`` if it has one, else the mean over tokens, or the first token where the
    model's folder says so) and the similarity is the cosine.
    """

    metric = "Spearman correlation x 100"
    chance = 0.0

    def __init__(self, plan: Plan, data: Path, limit: int | None) -> None:
        """Read a TSV file, or dev.tsv in a folder, with columns sentence1, sentence2 and score."""
        pairs, self.scores = read_pairs(self.file_of(data), limit)
        outputs = [record.name for record in plan.document.outputs]
        self.reads_pairs = "logits" in outputs
        self.embeds_itself = "sentence_embedding" in outputs
        if not self.reads_pairs and not self.embeds_itself and "last_hidden_state" not in outputs:
            raise InputError(
                "task stsb needs the output sentence_embedding, last_hidden_state or logits; the plan has "
                f"{', '.join(outputs)}"
            )
        self.pooling = plan.document.model.pooling or "mean"
        encoder = TextEncoder(plan)
        texts = pairs if self.reads_pairs else [sentence for pair in pairs for sentence in pair]
        self.encoded = encoder.encode(texts)

    @classmethod
    def file_of(cls, data: Path) -> Path:
        """dev.tsv of a folder, as GLUE has it; else the file itself."""
        return data / "dev.tsv" if kind_of(data) == FOLDER else data

    @property
    def size(self) -> int:
        """Number of pairs."""
        return len(self.scores)

    def measure(self, session: Executable, batch_size: int) -> float:
        """Spearman correlation x 100 of similarities and scores; NaN if all similarities are equal."""
        results: dict[int, Tensor] = {}
        for numbers in batches(self.encoded, batch_size):
            inputs = {name: torch.stack([self.encoded[n][name] for n in numbers]) for name in self.encoded[numbers[0]]}
            outputs = session.run(inputs, samples=numbers)
            results |= zip(numbers, self._result(inputs, outputs), strict=True)
        stacked = torch.stack([results[number] for number in range(len(self.encoded))]).double()
        similarities = stacked if self.reads_pairs else (stacked[0::2] * stacked[1::2]).sum(dim=1)
        return 100 * float(spearmanr(similarities.numpy(), self.scores).statistic)

    def _result(self, inputs: dict[str, Tensor], outputs: dict[str, Tensor]) -> Tensor:
        """Outputs as one number or one unit vector a text."""
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


def read_pairs(path: Path, limit: int | None) -> tuple[list[tuple[str, str]], list[float]]:
    """Pairs and scores of a TSV file with a header. Raises ``InputError`` with the line that is wrong."""
    check_file(path, "data file", LARGEST_FILE)
    pairs, scores = [], []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            missing = [column for column in COLUMNS if column not in (rows.fieldnames or [])]
            if missing:
                raise InputError(f"{path} has no column {missing[0]!r}; task stsb needs {', '.join(COLUMNS)}")
            for row in rows:
                pairs.append((row["sentence1"] or "", row["sentence2"] or ""))
                scores.append(_score(row["score"], path, rows.line_num))
                if limit is not None and len(pairs) >= limit:
                    break
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not readable as tab-separated text: {error}") from error
    if len(pairs) < 2:
        raise InputError(f"{path} has {len(pairs)} pairs; a correlation needs at least 2")
    return pairs, scores


def _score(text: str | None, path: Path, line: int) -> float:
    try:
        score = float(text or "")
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise InputError(f"{path} line {line}: score {text!r} is not a number")
    return score
