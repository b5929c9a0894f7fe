"""Many chips at several times in one run, against as many digital passes over the same data, on one core.

    OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/chips_and_times.py PLAN DATA [--chips 25] [--limit 300]

Digital passes are timed before and after; the ratio is to the fastest. It prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import mean

import torch

import tilewright
from tilewright.runtime.tasks.finding import make_task

TIMES = ("1s", "1h", "1d", "1mo", "1y", "10y")


def main() -> None:
    """Measure, and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan")
    parser.add_argument("data")
    parser.add_argument("--task", default="stsb")
    parser.add_argument("--chips", type=int, default=25)
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = tilewright.load(options.plan)
    task = make_task(plan, options.task, options.data, options.limit)
    digital = tilewright.Session(plan, ideal=True)

    def passes(count: int) -> list[float]:
        found = []
        for _ in range(count):
            begun = time.perf_counter()
            task.measure(digital, 64)
            found.append(time.perf_counter() - begun)
        return found

    before = passes(5)[1:]  # the first one wakes what the others use
    begun = time.perf_counter()
    found = tilewright.evaluate(
        plan, options.task, options.data, limit=options.limit, times=list(TIMES), repeats=options.chips
    )
    seconds = time.perf_counter() - begun
    all_passes = [*before, *passes(4)]
    figures = {point.time: mean(point.values) for point in found.points}
    print(json.dumps({
        "kernels": tilewright.doctor().to_json()["kernels"], "seconds": seconds, "digital_passes_s": all_passes,
        "ratio": seconds / (len(TIMES) * options.chips * min(all_passes)), "figures": figures,
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
