"""What full noise costs: time of a noisy pass over that of the same plan's digital reference, interleaved.

    OMP_WAIT_POLICY=passive python benchmarks/noise_ratio.py PLAN [--batch 8] [--length 128] [--runs 10]

The command line sets the variable by itself; without it OpenMP's idle threads spin and take the processor from draws.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

import tilewright


def seconds_of(call: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args()

    plan = tilewright.load(options.plan)
    digital, chip = tilewright.Session(plan, ideal=True), tilewright.Session(plan)
    ids = torch.randint(0, 1000, (options.batch, options.length), generator=torch.Generator().manual_seed(0))
    calls: dict[str, Callable[[], Any]] = {
        "digital": lambda: digital(input_ids=ids),
        "noisy": lambda: chip(input_ids=ids),
        "program": lambda: tilewright.Session(plan),
        "advance": lambda: chip.advance_to("1d"),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(options.runs):
        for name, call in calls.items():
            times[name].append(seconds_of(call))
    result: dict[str, Any] = {"threads": torch.get_num_threads(), "batch": options.batch, "length": options.length}
    for name, measured in times.items():
        result[name] = {"minimum_s": min(measured), "median_s": statistics.median(measured)}
        result[name]["ratio_to_digital"] = min(measured) / min(times["digital"])
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
