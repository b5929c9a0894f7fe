"""All benchmarks: results as JSON in benchmarks/results, as tables in docs/performance.md. `make benchmarks`.

Each kind of processor has a file of results, named after the kernels that run on it, and the page shows all of them.

    python benchmarks/everything.py [--only inference compiling detector growth peers] [--tables-only]

Each is a process of its own. It takes twenty minutes, 5 GB of memory and 35 GB of the system's temporary folder.
What could not be run is said so in the table.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import tilewright

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results", HERE.parent / "docs" / "performance.md"
PARTS: dict[str, dict[str, list[str]]] = {
    "inference": {name: ["inference.py", name] for name in ("minilm", "bert-base", "gpt2")},
    "compiling": {
        "minilm": ["compiling.py", "minilm"],
        "bert-base": ["compiling.py", "bert-base"],
        "tinyllama": ["compiling.py", "tinyllama", "--dtype", "bfloat16"],
        "llama-3b": ["compiling.py", "llama-3b", "--dtype", "bfloat16"],
    },
    "detector": {"": ["detector.py"]},
    "growth": {"": ["growth.py"]},
    "peers": {"": ["peers.py"]},
}
"""Programs that are run, by the table that their results go into."""


def run(arguments: list[str]) -> Any:
    """The JSON that a benchmark prints, or the last line of its error."""
    print(" ".join(arguments), file=sys.stderr)
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    done = subprocess.run(
        [sys.executable, HERE / arguments[0], *arguments[1:]],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout[done.stdout.index("{") :])  # some packages greet first


def table(headings: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown; numbers to the right."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ratio(found: dict[str, float]) -> str:
    """Ratio of minima, and of medians in brackets."""
    return f"{found['ratio']:.2f} ({found['ratio_of_medians']:.2f})"


def inference(results: dict[str, Any]) -> str:
    """Noise, programming, memory."""
    headings = [
        "model", "float32, batch 8", "noisy pass, batch 8", "batch 1", "programming a chip", "advancing it", "memory",
    ]  # fmt: skip
    rows = []
    for name, found in results.items():
        many, one = found["batch 8"], found["batch 1"]
        times = [ratio(many["noisy"]), ratio(one["noisy"]), ratio(many["program"]), ratio(many["advance"])]
        memory = f"{found['session_in_sizes']:.2f} x {found['weights_MB']:.0f} MB"
        rows.append([name, f"{many['float32']['minimum_s']:.3f} s", *times, memory])
    return table(headings, rows)


def compiling(results: dict[str, Any]) -> str:
    """Time and memory from disk."""
    headings = [
        "model", "on disk", "in float32", "load and export", "compile", "without calibrating", "peak memory",
        "above importing torch", "processor time", "a second target",
    ]  # fmt: skip
    rows = []
    for name, found in results.items():
        again = found.get("second_target")
        used = [f"{found['compile']['processor_s']:.0f} s", f"{again['processor_s']:.0f} s" if again else ""]
        times = f"{found['compile']['seconds']:.0f} s, {found['times_load_and_export']:.1f} x"
        without = f"{found['times_load_and_export_without_calibrating']:.1f} x"
        sizes = [f"{found[key]:,.0f} MB" for key in ("stored_MB", "float32_MB")]
        peaks = [f"{found['compile']['peak_MB']:,.0f} MB", f"{found['above_torch_MB']:,.0f} MB"]
        rows.append([name, *sizes, f"{found['load_and_export']['seconds']:.1f} s", times, without, *peaks, *used])
    return table(headings, rows)


def detector(results: dict[str, Any]) -> str:
    """A network of convolutions."""
    found = results[""]
    figures = [f"{found[key]:,.0f}{unit}" for key, unit in (
        ("parameters", ""), ("layers", ""), ("processor_s", " s"), ("peak_MB", " MB"),
    )]  # fmt: skip
    return table(["parameters", "layers", "processor time", "peak memory"], [figures])


def config_only(results: dict[str, Any]) -> str:
    """Any size, without weights."""
    rows = [
        [
            name, f"{found['parameters']:,}", str(found["layers"]), f"{found['tiles']:,}",
            f"{found['processor_s']:.0f} s", f"{found['peak_MB']:.0f} MB", f"{found['plan_MB']:.1f} MB",
        ]
        for name, found in results[""]["config only"].items()
    ]  # fmt: skip
    return table(["model", "parameters", "layers", "tiles", "processor time", "peak memory", "plan"], rows)


def growth(results: dict[str, Any]) -> str:
    """Layers, tokens, samples, chips."""
    found = results[""]
    rows = []
    for what, key in (("layers", "layers"), ("tokens", "length"), ("samples", "batch")):
        for entry in found[what]:
            times = [f"{entry[name]['minimum_s'] * 1e3:.0f} ms" for name in ("float32", "noisy")]
            rows.append(
                [f"{entry[key]} {what if what != 'tokens' else 'tokens a sample'}", *times, ratio(entry["noisy"])]
            )
    rows += [
        [f"{entry['chips']} chips at three times", "", f"{entry['minimum_s'] * 1e3:.0f} ms", ""]
        for entry in found["chips at three times"]
    ]
    return table(["work", "float32", "noisy", "ratio"], rows)


def peers(results: dict[str, Any]) -> str:
    """Beside others."""
    found = results[""]
    if "failed" in found:
        return f"Could not be run: {found['failed']}"
    names = next(iter(found.values()))
    rows = [[name, *(ratio(times[name]) for times in found.values())] for name in names]
    return table(["", *found], rows)


TABLES: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "inference": ("inference", inference),
    "compiling": ("compiling", compiling),
    "detector": ("detector", detector),
    "config-only": ("growth", config_only),
    "growth": ("growth", growth),
    "peers": ("peers", peers),
}
"""Name of a table in the page -> whose results, and how they are written."""


def written(page: str, processors: list[dict[str, Any]]) -> Iterator[str]:
    """The page with each table between its two marks renewed: one of each processor that has results."""
    for part in re.split(r"(<!-- table [\w-]+ -->\n.*?<!-- end -->)", page, flags=re.DOTALL):
        name = re.match(r"<!-- table ([\w-]+) -->", part)
        source, write = TABLES[name[1]] if name else ("", str)
        tables = [f"{found['on']}:\n\n{write(found[source])}\n" for found in processors if source in found]
        yield f"<!-- table {name[1]} -->\n" + "\n".join(tables) + "<!-- end -->" if name and tables else part


def processor() -> str:
    """The processor in words: its name, its features, and the kernels that run on it."""
    found, info = tilewright.doctor(), Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), found.processor)
    features = ", ".join(found.kernels.features) or "no features that matter here"
    return f"{name} ({features}), {found.threads} threads, kernels {found.kernels.name}, torch {torch.__version__}"


def main() -> None:
    """Run what is asked for, keep it, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--tables-only", action="store_true")
    options = parser.parse_args()
    file = RESULTS / f"{tilewright.doctor().kernels.name}.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for part in [] if options.tables_only else options.only:
        results |= {"on": processor(), part: {name: run(arguments) for name, arguments in PARTS[part].items()}}
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    found = [json.loads(one.read_text(encoding="utf-8")) for one in sorted(RESULTS.glob("*.json"))]
    PAGE.write_text("".join(written(PAGE.read_text(encoding="utf-8"), found)), encoding="utf-8")


if __name__ == "__main__":
    main()
