"""Cost of full noise: a pass of a simulated chip over that of torch in float32, eager, of the same model.

    OMP_WAIT_POLICY=passive python benchmarks/inference.py MODEL [--target pcm-512] [--batch 1 8] [--length 128]

MODEL: a name of benchmarks/random_model.py, a HuggingFace folder, or a plan. Programming and advancing a chip are in
parts of a float32 pass of the largest batch; memory is what a session adds to the process, in parts of the float32
weights. The command line sets the variable by itself: without it OpenMP's idle threads take the processor from draws.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from random_model import CONFIGS, write_model
from timing import compared, interleaved, process

import tilewright


def resident() -> float:
    """MB that this process has in memory. Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def memory(plan: tilewright.Plan, batch: int, length: int) -> dict[str, float]:
    """Memory that a session that ran once adds to a process that has imported everything and opened the plan."""
    before, weights = resident(), sum(tensor.nbytes for tensor in plan.tensors.values()) / 2**20
    chip = tilewright.Session(plan).advance_to("1d")
    chip(input_ids=torch.zeros(batch, length, dtype=torch.int64))
    added = resident() - before
    return {"weights_MB": weights, "session_MB": added, "session_in_sizes": added / weights}


def plan_of(model: str, target: str, folder: Path) -> tilewright.Plan:
    """The plan of a named model, a model's folder or a plan's."""
    if (Path(model) / "plan.json").is_file():
        return tilewright.load(model)
    if model in CONFIGS:
        write_model(model, folder / "model")
        model = str(folder / "model")
    return tilewright.load(tilewright.compile(model, target).save(folder / "plan"))


def measure(plan: tilewright.Plan, batches: list[int], length: int, runs: int) -> dict[str, Any]:
    """Times of one plan."""
    generator = torch.Generator().manual_seed(0)
    tokens = {batch: torch.randint(0, 1000, (batch, length), generator=generator) for batch in batches}
    chip, digital = tilewright.Session(plan).advance_to("1d"), tilewright.Session(plan, ideal=True)
    result: dict[str, Any] = {"threads": torch.get_num_threads()}
    for batch in batches:
        calls: dict[str, Callable[[], Any]] = {
            "float32": partial(digital, input_ids=tokens[batch]),
            "noisy": partial(chip, input_ids=tokens[batch]),
        }
        if batch == max(batches):
            calls |= {"program": lambda: tilewright.Session(plan), "advance": lambda: chip.advance_to("1d")}
        result[f"batch {batch}"] = compared(interleaved(calls, runs), "float32")
    return result


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--target", default="pcm-512")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--memory", action="store_true", help="measure that alone")
    options = parser.parse_args()
    if options.memory:
        print(json.dumps(memory(tilewright.load(options.model), max(options.batch), options.length)))
        return
    with tempfile.TemporaryDirectory() as folder:
        plan = plan_of(options.model, options.target, Path(folder))
        alone = process(__file__, str(plan.folder), "--memory", output=True)["output"]
        print(json.dumps(alone | measure(plan, options.batch, options.length, options.runs), indent=1))


if __name__ == "__main__":
    main()
