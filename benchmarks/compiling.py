"""Time and peak memory of compiling a model from disk, beside loading and exporting it once with transformers; and of
compiling it for a second target, when the traced network is kept.

    python benchmarks/compiling.py MODEL [--dtype float32] [--calibration TEXTS]

MODEL: a name of benchmarks/random_model.py, whose weights are written first, or a HuggingFace folder. TEXTS: a .txt of
calibration samples. Each is a process of its own, with all that it imports. Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from random_model import CONFIGS, write_model
from timing import process, tilewright

LOAD_AND_EXPORT = """
import sys, torch, transformers
from transformers.exporters import DynamoConfig, DynamoExporter
from transformers.exporters.exporter_dynamo import get_auto_dynamic_shapes
config = transformers.AutoConfig.from_pretrained(sys.argv[1])
model = getattr(transformers, config.architectures[0]).from_pretrained(sys.argv[1], dtype=torch.float32)
model.eval().requires_grad_(False)
model.config.use_cache = False
example = {"input_ids": torch.randint(0, 1000, (2, 7)), "attention_mask": torch.ones(2, 7, dtype=torch.int64)}
shapes = get_auto_dynamic_shapes(example)
DynamoExporter().export(model, example, config=DynamoConfig(dynamic=True, dynamic_shapes=shapes))
"""
SECOND = "pcm-512-8bit"
"""Target of the second compilation."""
CALIBRATING = ("observe", "rescale_channels", "fold_channel_scales", "clip_weights", "calibrate")
"""Passes that run sample inputs or choose by what these showed."""


def measure(folder: Path, options: list[str]) -> dict[str, Any]:
    """Figures of one model."""
    importing = process("-c", "import torch")
    reference = process("-c", LOAD_AND_EXPORT, str(folder))
    with tempfile.TemporaryDirectory() as made:
        os.environ["TILEWRIGHT_CACHE"] = f"{made}/cache"
        command = ["compile", str(folder), *options, "--json", "-o"]
        found = process(*tilewright(*command, f"{made}/plan"), output=True)
        second = process(*tilewright(*command, f"{made}/second", "--target", SECOND), output=True)
    seconds = {entry["pass"]: entry["seconds"] for entry in found["output"]["passes"]}
    calibrating = sum(seconds[name] for name in CALIBRATING)
    stored = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / 2**20
    size = found["output"]["report"]["parameters"] * 4 / 2**20
    return {
        "stored_MB": stored,
        "float32_MB": size,
        "importing_torch_MB": importing["peak_MB"],
        "load_and_export": reference,
        "compile": {key: found[key] for key in ("peak_MB", "seconds", "processor_s")},
        "second_target": {key: second[key] for key in ("peak_MB", "seconds", "processor_s")},
        "second_in_first": second["processor_s"] / found["processor_s"],
        "calibrating_s": calibrating,
        "above_torch_MB": found["peak_MB"] - importing["peak_MB"],
        "times_load_and_export": found["seconds"] / reference["seconds"],
        "times_load_and_export_without_calibrating": (found["seconds"] - calibrating) / reference["seconds"],
    }


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--calibration", type=Path)
    options = parser.parse_args()
    samples = [] if options.calibration is None else ["--calibration", str(options.calibration)]
    with tempfile.TemporaryDirectory() as written:
        folder = Path(options.model)
        if options.model in CONFIGS:
            folder = Path(written) / options.model
            write_model(options.model, folder, getattr(torch, options.dtype))
        print(json.dumps(measure(folder, samples), indent=1))


if __name__ == "__main__":
    main()
