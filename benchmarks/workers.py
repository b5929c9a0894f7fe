"""Chips of one evaluation on one core, on two threads of one process, and on workers of a core each.

    OMP_WAIT_POLICY=passive python benchmarks/workers.py PLAN DATA [--task stsb] [--limit 300] [--chips 8]

Each way is a process of its own, which measures the same chips; the time is that of the call, without the start of
Python. "apart" are two processes of one core that know nothing of each other, each with half of the chips: what this
machine gives at best. A digital pass of the same data, on all cores, is beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

WAYS = {"one core": (1, 1, 1), "two threads": (1, 2, 1), "two workers": (2, 2, 1), "apart": (1, 1, 2)}
"""Workers, threads and processes of each way."""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of an evaluation and of a digital pass, and the figures."""
    import torch

    import tilewright
    from tilewright.runtime.tasks.finding import make_task

    torch.set_num_threads(options.threads)
    plan = tilewright.load(options.plan)
    task = make_task(plan, options.task, options.data, options.limit)
    digital = tilewright.Session(plan, ideal=True)
    task.measure(digital, 64)
    begun = time.perf_counter()
    task.measure(digital, 64)
    one_pass = time.perf_counter() - begun
    begun = time.perf_counter()
    found = tilewright.evaluate(
        plan, options.task, options.data, limit=options.limit, times=["1s", "1mo"], resamples=0,
        chips=range(options.first, options.first + options.chips), workers=options.workers,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    return {"seconds": seconds, "digital_pass_s": one_pass, "values": [point.values for point in found.points]}


def run_way(options: argparse.Namespace, workers: int, threads: int, processes: int) -> dict[str, Any]:
    """Seconds and figures of one way. Processes begin together, and the last one counts."""
    each = options.chips // processes
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    started = [
        subprocess.Popen(
            [*(sys.executable, *sys.argv), "--workers", str(workers), "--threads", str(threads),
             "--first", str(number * each), "--chips", str(each)],
            env=environment, stdout=subprocess.PIPE, text=True,
        )
        for number in range(processes)
    ]  # fmt: skip
    found = [json.loads(process.communicate()[0]) for process in started]
    values = [[value for one in found for value in one["values"][time]] for time in range(2)]
    return {**found[0], "seconds": max(one["seconds"] for one in found), "values": values}


def main() -> None:
    """Measure each way in turn, and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan")
    parser.add_argument("data")
    parser.add_argument("--task", default="stsb")
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--chips", type=int, default=8)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="measure so, and print the figures alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first chip")
    options = parser.parse_args()
    if options.workers:
        print(json.dumps(measure(options)))
        return
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in WAYS}
    for _ in range(options.runs):
        for name, way in WAYS.items():
            found[name].append(run_way(options, *way))
    values = {json.dumps(one["values"]) for ones in found.values() for one in ones}
    best = {name: min(one["seconds"] for one in ones) for name, ones in found.items()}
    alone = best["one core"]
    passes = 2 * options.chips
    digital = min(one["digital_pass_s"] for one in found["two threads"])
    print(
        json.dumps(
            {
                "seconds": best,
                "times_as_fast_as_one_core": {name: alone / seconds for name, seconds in best.items()},
                "digital_pass_s": digital,
                "of_as_many_digital_passes": {name: seconds / (passes * digital) for name, seconds in best.items()},
                "same_values": len(values) == 1,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
