"""Tasks of the GLUE benchmark, as its official files and metrics have them (Wang et al. 2019)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.class_names import class_numbers
from tilewright.runtime.tasks.metric import Metric
from tilewright.runtime.tasks.metrics import accuracy, f1, matthews
from tilewright.runtime.tasks.task import Task
from tilewright.runtime.tasks.texts.stsb import SemanticSimilarity, SemanticSimilarityPearson
from tilewright.runtime.tasks.texts.text_classification import Columns, TextClassification
from tilewright.targets.errors import InputError
from tilewright.targets.paths import FOLDER, kind_of

NUMBERED = ("0", "1")
ENTAILED = ("entailment", "not_entailment")
PAIR = Columns("sentence1", "sentence2", "label")


class GlueTask(TextClassification):
    """A task of GLUE: dev.tsv of its folder, or a file of the same columns."""

    classes: tuple[str, ...] = NUMBERED
    """Labels of the official files, in the order of the official numbers."""
    file = "dev.tsv"

    def data_file(self, data: Path) -> Path:
        """File of the examples: dev.tsv of a folder, as GLUE has it; else the file itself."""
        return data / self.file if kind_of(data) == FOLDER else data

    def read_labels(self, plan: Plan, labels: list[Any], logits: int) -> Any:
        """Numbers of the classes: by the model's own names where these are the task's, else in GLUE's order."""
        if logits != len(self.classes):
            raise InputError(f"the task has {len(self.classes)} classes, and the plan {logits} logits a text")
        self.metric = self.metric_of(logits)
        found = class_numbers(labels, self.classes)
        names = [name.lower() for name in plan.document.model.classes or ()]
        if set(names) != set(self.classes):
            return found
        return [names.index(self.classes[number]) for number in found]


class Cola(GlueTask):
    """CoLA: is a sentence grammatical? Matthews correlation. Its file has no line of names."""

    columns = Columns("sentence", None, "label", ("source", "label", "judgement", "sentence"))

    metric_of: Callable[[int], Metric] = staticmethod(matthews)


class Sst2(GlueTask):
    """SST-2: is a review positive? Accuracy."""

    columns = Columns("sentence", None, "label")


class Mrpc(GlueTask):
    """MRPC: do two sentences say the same? F1, and accuracy as ``glue/mrpc-accuracy``."""

    columns = Columns("#1 String", "#2 String", "Quality")

    metric_of: Callable[[int], Metric] = staticmethod(f1)


class MrpcAccuracy(Mrpc):
    """MRPC by accuracy."""

    metric_of: Callable[[int], Metric] = staticmethod(accuracy)


class Qqp(GlueTask):
    """QQP: do two questions ask the same? F1, and accuracy as ``glue/qqp-accuracy``."""

    columns = Columns("question1", "question2", "is_duplicate")

    metric_of: Callable[[int], Metric] = staticmethod(f1)


class QqpAccuracy(Qqp):
    """QQP by accuracy."""

    metric_of: Callable[[int], Metric] = staticmethod(accuracy)


class Rte(GlueTask):
    """RTE: does one text follow from another? Accuracy."""

    columns, classes = PAIR, ENTAILED


class Qnli(GlueTask):
    """QNLI: does a sentence answer a question? Accuracy."""

    columns, classes = Columns("question", "sentence", "label"), ENTAILED


class Wnli(GlueTask):
    """WNLI: does a sentence with its pronoun replaced follow? Accuracy."""

    columns = PAIR


class Mnli(GlueTask):
    """MNLI: entailment, neutral or contradiction, on genres that were trained on. Accuracy."""

    columns, file = Columns("sentence1", "sentence2", "gold_label"), "dev_matched.tsv"
    classes = ("entailment", "neutral", "contradiction")


class MnliMismatched(Mnli):
    """MNLI on genres that were not trained on. Accuracy."""

    file = "dev_mismatched.tsv"


GLUE: dict[str, type[Task]] = {
    "glue/cola": Cola,
    "glue/mnli": Mnli,
    "glue/mnli-mismatched": MnliMismatched,
    "glue/mrpc": Mrpc,
    "glue/mrpc-accuracy": MrpcAccuracy,
    "glue/qnli": Qnli,
    "glue/qqp": Qqp,
    "glue/qqp-accuracy": QqpAccuracy,
    "glue/rte": Rte,
    "glue/sst2": Sst2,
    "glue/stsb": SemanticSimilarity,
    "glue/stsb-pearson": SemanticSimilarityPearson,
    "glue/wnli": Wnli,
}
"""Tasks of GLUE by name."""
