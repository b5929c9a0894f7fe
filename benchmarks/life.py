"""Time of one chip over its life, beside digital passes over the same data: programmed once, read at five times.

    OMP_WAIT_POLICY=passive python benchmarks/life.py PLAN STS-B

Each digital pass (the plan's graph in float32, the same batches) is followed by an advance and a pass of the chip; what
is compared are sums of five, with programming on the chip's side. STS-B: its folder.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tilewright
from tilewright.runtime.tasks.finding import make_task

TIMES = ("1s", "1h", "1d", "1w", "1mo")
BATCH = 64


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, wall and processor seconds of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    result = call()
    return result, time.perf_counter() - wall, time.process_time() - processor


def measure(plan: tilewright.Plan, data: Path) -> dict[str, Any]:
    """Seconds of both, and their ratio."""
    task = make_task(plan, "stsb", data, None)
    digital = tilewright.Session(plan, ideal=True)
    task.measure(digital, BATCH)
    sums = {"digital": [0.0, 0.0], "programming": [0.0, 0.0], "advances": [0.0, 0.0], "noisy": [0.0, 0.0]}

    def add(what: str, call: Callable[[], Any]) -> Any:
        result, *seconds = timed(call)
        sums[what] = [old + new for old, new in zip(sums[what], seconds, strict=True)]
        return result

    session = add("programming", lambda: tilewright.Session(plan, seed=0))
    for at in TIMES:
        add("digital", lambda: task.measure(digital, BATCH))
        add("advances", partial(session.advance_to, at))
        add("noisy", lambda: task.measure(session, BATCH))
    chip = [sum(sums[name][kind] for name in ("programming", "advances", "noisy")) for kind in (0, 1)]
    return {
        "examples": task.size,
        "seconds": {name: {"wall": wall, "processor": processor} for name, (wall, processor) in sums.items()},
        "ratio": chip[0] / sums["digital"][0],
        "ratio_of_processor_time": chip[1] / sums["digital"][1],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    print(json.dumps(measure(tilewright.load(options.plan), options.data), indent=1))
