"""Switch the effects of a chip off one at a time, and see which one costs accuracy.

    python examples/which_effect_hurts.py PLAN DATA [--task stsb] [--limit N] [--repeats N]

PLAN is a folder of ``tilewright compile``; DATA is what ``tilewright evaluate --task stsb --data`` takes, or of another
task. The plan stays as it is: only the description of the hardware that it is simulated on changes.
"""

from __future__ import annotations

import argparse
from typing import Any

import tilewright

DYNAMIC = tilewright.load_target("pcm-512-dynamic")
VARIANTS: dict[str, dict[str, Any]] = {
    "everything on": {},
    "no programming noise": {"device.programming.scale": 0},
    "no 1/f noise": {"device.accumulated_noise.scale": 0},
    "no short-term read noise": {"tile.short_term_read_noise": 0},
    "an input range for each vector": {"tile.input_range": DYNAMIC.model_dump(mode="json")["tile"]["input_range"]},
    "no ADC, no output noise": {"tile.adc": None, "tile.output_noise": 0},
    "only the devices (no converters, no read noise)": {
        "tile.dac": None,
        "tile.adc": None,
        "tile.output_noise": 0,
        "tile.short_term_read_noise": 0,
    },
    "only the periphery (ideal devices)": {"device": {"statistics": "ideal"}},
}


def main() -> None:
    """Evaluate the plan on each variant of its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan")
    parser.add_argument("data")
    parser.add_argument("--task", default="stsb")
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--times", default="1s,1mo")
    options = parser.parse_args()

    plan = tilewright.load(options.plan)
    target = plan.document.chip.tiles[0].target
    for name, changes in VARIANTS.items():
        changed = plan.on(tilewright.load_chip(target, changes))
        found = tilewright.evaluate(
            changed, options.task, options.data, times=options.times.split(","), repeats=options.repeats,
            limit=options.limit,
        )  # fmt: skip
        figures = [
            f"{point.time} {point.mean:6.2f}" + (f" ± {point.standard_error:.2f}" if point.standard_error else "")
            for point in found.points
        ]
        print(f"{name:<48} digital {found.digital:.2f} | {' | '.join(figures)}", flush=True)


if __name__ == "__main__":
    main()
