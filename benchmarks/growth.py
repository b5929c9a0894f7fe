"""Growth of costs with a model's size (from its config alone), with layers, tokens, samples, repeats and times.

OMP_WAIT_POLICY=passive python benchmarks/growth.py [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from random_model import write_config
from timing import compared, interleaved, process
from timing import tilewright as command
from transformers import BertConfig, BertModel

import tilewright

SIZES = ("bert-tiny", "bert-base", "bert-large", "tinyllama", "llama-3b", "llama-8b", "llama-70b", "llama-405b")
LAYERS, LENGTHS, BATCHES, REPEATS = (3, 6, 12), (32, 128, 512), (1, 2, 8, 32), (1, 2, 4)
SHAPE = {"hidden_size": 384, "intermediate_size": 1536, "vocab_size": 1000}


def config_only(name: str, folder: Path) -> dict[str, Any]:
    """A model of that name, mapped."""
    write_config(name, folder / "model")
    options = ("compile", str(folder / "model"), "-o", str(folder / "plan"), "--config-only")
    found = process(*command(*options))
    plan = tilewright.load(folder / "plan")
    figures = {
        "parameters": plan.document.model.parameters,
        "layers": len(plan.document.layers),
        "tiles": plan.document.placement.tiles,
        "plan_MB": (folder / "plan" / "plan.json").stat().st_size / 2**20,
    }
    return figures | found


def plan_of(layers: int) -> tilewright.Plan:
    """A small BERT of so many layers."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        BertModel(BertConfig(**SHAPE, num_hidden_layers=layers, num_attention_heads=6)).save_pretrained(folder)
        return tilewright.compile(folder)


def passes(plan: tilewright.Plan, shapes: list[tuple[int, int]], runs: int) -> list[dict[str, Any]]:
    """A noisy and a float32 pass at each (batch, length)."""
    digital, chip = tilewright.Session(plan, ideal=True), tilewright.Session(plan)
    found = []
    for batch, length in shapes:
        tokens = torch.randint(0, 1000, (batch, length), generator=torch.Generator().manual_seed(0))
        calls = {"float32": partial(digital, input_ids=tokens), "noisy": partial(chip, input_ids=tokens)}
        times = compared(interleaved(calls, runs), "float32")
        found.append({"batch": batch, "length": length, "tokens": batch * length, **times})
    return found


def chips(plan: tilewright.Plan, runs: int) -> list[dict[str, Any]]:
    """So many chips, each at three times, with one pass of batch 8."""
    tokens = torch.randint(0, 1000, (8, 128), generator=torch.Generator().manual_seed(0))

    def work(repeats: int) -> None:
        for repeat in range(repeats):
            session = tilewright.Session(plan, repeat=repeat)
            for time in ("1s", "1d", "1mo"):
                session.advance_to(time)(input_ids=tokens)

    seconds = interleaved({str(repeats): partial(work, repeats) for repeats in REPEATS}, runs)
    return [{"chips": int(repeats), "minimum_s": min(found)} for repeats, found in seconds.items()]


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    result: dict[str, Any] = {"config only": {}, "layers": []}
    for name in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            result["config only"][name] = config_only(name, Path(folder))
    plans = {layers: plan_of(layers) for layers in LAYERS}
    for layers, plan in plans.items():
        result["layers"].append({"layers": layers, **passes(plan, [(8, 128)], runs)[0]})
    middle = plans[LAYERS[1]]
    result["tokens"] = passes(middle, [(8, length) for length in LENGTHS], runs)
    result["samples"] = passes(middle, [(batch, 128) for batch in BATCHES], runs)
    result["chips at three times"] = chips(middle, runs)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
