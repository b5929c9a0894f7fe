"""Times of several calls, run in turns in one process: what the machine does meanwhile happens to all of them."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from typing import Any

Calls = Mapping[str, Callable[[], Any]]


def interleaved(calls: Calls, runs: int) -> dict[str, list[float]]:
    """Seconds of each call, by name. Each is called once before, unmeasured."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(runs):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def compared(seconds: Mapping[str, list[float]], reference: str) -> dict[str, dict[str, Any]]:
    """Minimum, median, quartiles, and the ratios of minima and medians to those of the reference."""
    least, middle = min(seconds[reference]), median(seconds[reference])
    return {
        name: {
            "minimum_s": min(found),
            "median_s": median(found),
            "quartiles_s": [quantiles(found, n=4)[0], quantiles(found, n=4)[2]],
            "ratio": min(found) / least,
            "ratio_of_medians": median(found) / middle,
        }
        for name, found in seconds.items()
    }


def process(*arguments: str, output: bool = False) -> dict[str, Any]:
    """Peak resident MB, wall and processor seconds of a Python process; with ``output`` the JSON that it printed."""
    # by way of a process that is small: Linux counts what a process had before it became another one
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    program = f"import resource, subprocess, sys, json; r = subprocess.run({[sys.executable, *arguments]!r}, " \
        "capture_output=True, text=True); u = resource.getrusage(resource.RUSAGE_CHILDREN); " \
        "print(json.dumps([r.returncode, r.stdout, r.stderr, u.ru_maxrss]))"  # fmt: skip
    done = subprocess.run([sys.executable, "-S", "-c", program], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, printed, errors, peak = json.loads(done.stdout)
    if code:
        raise RuntimeError(f"{' '.join(arguments)} ended with {code}: {errors[-1000:]}")
    used = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    found = {"peak_MB": peak / 1024, "seconds": time.perf_counter() - started, "processor_s": used}
    return found | ({"output": json.loads(printed)} if output else {})


def tilewright(*arguments: str) -> list[str]:
    """Python's arguments to run a command of tilewright."""
    return ["-c", "from tilewright.compiler.cli import main; main()", *arguments]
