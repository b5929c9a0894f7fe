"""Cost of training for a chip: a step of a prepared network over a digital one of the same network.

    OMP_WAIT_POLICY=passive python benchmarks/training.py [--model minilm] [--batch 16] [--length 64]

Steps of AdamW take turns in one process; times are minima. Memory is what a process of its own takes at most, beside
that of one that trains digitally (Linux).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from random_model import CONFIGS, write_model
from timing import compared, interleaved, process
from transformers import AutoModelForSequenceClassification

import tilewright

DIGITAL = "none"


def network(folder: Path, recipe: str, batch: dict[str, torch.Tensor]) -> Any:
    """The network of a folder with a head, prepared by a recipe, unless it is to train digitally."""
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    if recipe != DIGITAL:
        few = {name: values[:4] for name, values in batch.items()}
        tilewright.prepare(model, "pcm-512", recipe=recipe, example_inputs=few)
    return model.train()


def stepper(model: Any, batch: dict[str, torch.Tensor]) -> Callable[[], Any]:
    """Function that trains one step."""
    optimizer = torch.optim.AdamW(model.parameters(), 5e-5)
    labels = torch.zeros(len(batch["input_ids"]), dtype=torch.int64)

    def step() -> None:
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()

    return step


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="minilm", help="a name of random_model.py, or a folder")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--recipe", default="device-noise")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--memory", help="train three steps by this recipe, or none, and print the memory alone")
    options = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 1000, (options.batch, options.length), generator=generator)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(options.model)
        if options.model in CONFIGS:
            write_model(options.model, folder := Path(made) / "model")
        if options.memory:
            step = stepper(network(folder, options.memory, batch), batch)
            for _ in range(3):
                step()
            print(json.dumps({"MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
            return
        size = ["--model", str(folder), "--batch", str(options.batch), "--length", str(options.length)]
        memory = {
            name: process(__file__, *size, "--memory", recipe, output=True)["output"]["MB"]
            for name, recipe in (("digital", DIGITAL), ("prepared", options.recipe))
        }
        steps = {
            "digital": stepper(network(folder, DIGITAL, batch), batch),
            "prepared": stepper(network(folder, options.recipe, batch), batch),
        }
        times = compared(interleaved(steps, options.runs), "digital")
    print(json.dumps({"threads": torch.get_num_threads(), "memory_MB": memory, **times}, indent=1))


if __name__ == "__main__":
    main()
