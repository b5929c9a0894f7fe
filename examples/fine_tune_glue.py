"""Fine-tune a sentence encoder on a task of GLUE, on a processor, in minutes.

    python examples/fine_tune_glue.py sst2 path/to/all-MiniLM-L6-v2 --data SST-2 -o minilm-sst2
    tilewright compile minilm-sst2 -o plan
    tilewright evaluate plan --task glue/sst2 --data SST-2

DATA is GLUE's folder of the task, with the official train.tsv and dev.tsv. The model gets a head of two classes, and
all of its weights are trained. The result is a HuggingFace folder that knows its classes' names. The same seed gives
the same model on the same machine.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils import logging

Metric = tuple[str, Callable[[list[int], list[int]], float]]
ACCURACY: Metric = ("accuracy", accuracy_score)
F1: Metric = ("F1", f1_score)
MATTHEWS: Metric = ("Matthews correlation", matthews_corrcoef)
BATCH = 32
WARM_UP = 0.1
"""Share of the steps in which the rate rises to its full value; then it falls to zero."""


@dataclass(frozen=True)
class Task:
    """A task of GLUE: columns of its texts and labels, names of its classes, metrics, and how it is trained.

    epochs: times that each example is seen. length: tokens that training cuts examples to. header: names of the file's
    columns, where it has no line of them.
    """

    texts: tuple[str, ...]
    label: str
    classes: tuple[str, str]
    metrics: tuple[Metric, ...]
    epochs: int
    length: int
    header: tuple[str, ...] | None = None


TASKS = {
    "sst2": Task(("sentence",), "label", ("negative", "positive"), (ACCURACY,), epochs=1, length=64),
    "mrpc": Task(
        ("#1 String", "#2 String"), "Quality", ("not_equivalent", "equivalent"), (F1, ACCURACY), epochs=4, length=128
    ),
    "rte": Task(("sentence1", "sentence2"), "label", ("entailment", "not_entailment"), (ACCURACY,), 5, length=128),
    "cola": Task(
        ("sentence",), "label", ("unacceptable", "acceptable"), (MATTHEWS,), epochs=3, length=64,
        header=("source", "label", "judgement", "sentence"),
    ),
}  # fmt: skip


@dataclass
class Example:
    """Token ids and types of a text or pair, and the number of its class."""

    inputs: dict[str, list[int]]
    label: int


def read(task: Task, file: Path, tokenizer: Any, length: int, limit: int | None = None) -> list[Example]:
    """Examples of an official file, the first ``limit`` of them, cut to so many tokens."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines, task.header, delimiter="\t", quoting=csv.QUOTE_NONE))[:limit]
    texts = [[row[column] for row in rows] for column in task.texts]
    encoded = tokenizer(*texts, truncation=True, max_length=length)
    labels = [row[task.label] for row in rows]
    numbers = [task.classes.index(label) if label in task.classes else int(label) for label in labels]
    return [
        Example({name: encoded[name][row] for name in encoded}, number) for row, number in enumerate(numbers)
    ]  # fmt: skip


def shuffled(things: list[Any], order: torch.Generator) -> list[Any]:
    """The things in random order."""
    return [things[number] for number in torch.randperm(len(things), generator=order).tolist()]


def parts(things: list[Any], size: int) -> list[list[Any]]:
    """Runs of so many things, the last one shorter."""
    return [things[start : start + size] for start in range(0, len(things), size)]


def batches(
    examples: list[Example], tokenizer: Any, order: torch.Generator | None = None
) -> Iterator[dict[str, torch.Tensor]]:
    """Padded batches; in random order where there is one, and then of texts of like lengths, which pad less."""
    groups = parts(examples, BATCH)
    if order is not None:
        mixed = parts(shuffled(examples, order), 20 * BATCH)
        alike = [sorted(part, key=lambda example: len(example.inputs["input_ids"])) for part in mixed]
        groups = shuffled([group for part in alike for group in parts(part, BATCH)], order)
    for group in groups:
        padded = tokenizer.pad([example.inputs for example in group], return_tensors="pt")
        yield {**padded, "labels": torch.tensor([example.label for example in group])}


def train(model: Any, tokenizer: Any, examples: list[Example], epochs: int, rate: float, seed: int) -> None:
    """Train all weights by AdamW; the rate rises, then falls to zero."""
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    steps = epochs * -(-len(examples) // BATCH)
    warm = max(1, round(WARM_UP * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    model.train()
    step, started = 0, time.perf_counter()
    for _ in range(epochs):
        for batch in batches(examples, tokenizer, order):
            loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
            if step % 50 == 0 or step == steps:
                print(f"step {step} of {steps}, loss {loss:.3f}, {time.perf_counter() - started:.0f} s", flush=True)


def predict(model: Any, tokenizer: Any, examples: list[Example]) -> list[int]:
    """Numbers of the classes of the examples."""
    model.eval()
    found: list[int] = []
    with torch.inference_mode():
        for batch in batches(examples, tokenizer):
            found += model(**batch).logits.argmax(dim=-1).tolist()
    return found


def main() -> None:
    """Train, print the figure of dev.tsv, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("model", help="folder of a HuggingFace model")
    parser.add_argument("--data", type=Path, required=True, help="GLUE's folder: train.tsv and dev.tsv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--limit", type=int, default=20_000, help="examples to train on, at most (default: 20000)")
    parser.add_argument("--epochs", type=int, help="times that each example is seen; the task's own if not given")
    parser.add_argument("--rate", type=float, default=5e-5, help="largest learning rate (default: 5e-5)")
    parser.add_argument("--seed", type=int, default=0, help="of the head, of dropout and of the order (default: 0)")
    given = parser.parse_args()
    task = TASKS[given.task]
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(given.seed)
    names = dict(enumerate(task.classes))
    tokenizer = AutoTokenizer.from_pretrained(given.model)
    model = AutoModelForSequenceClassification.from_pretrained(
        given.model, id2label=names, label2id={name: number for number, name in names.items()}
    )
    examples = read(task, given.data / "train.tsv", tokenizer, task.length, given.limit)
    started = time.perf_counter()
    train(model, tokenizer, examples, given.epochs or task.epochs, given.rate, given.seed)
    seconds = time.perf_counter() - started
    dev = read(task, given.data / "dev.tsv", tokenizer, model.config.max_position_embeddings)
    labels, predictions = [example.label for example in dev], predict(model, tokenizer, dev)
    figures = [f"{name} {100 * of(labels, predictions):.2f}" for name, of in task.metrics]
    model.save_pretrained(given.output)
    tokenizer.save_pretrained(given.output)
    print(f"{given.task}: {', '.join(figures)} on {len(dev)} examples after {seconds:.0f} s; model in {given.output}")


if __name__ == "__main__":
    main()
