"""A target of your own: a file that extends pcm-512, and says only what is different. Then compare."""

import tempfile
from pathlib import Path

import torch

import tilewright

MY_TARGET = """
kind: analog
extends: pcm-512
name: my-pcm
summary: As pcm-512, with an 8-bit ADC, quieter devices, and two pairs of them a weight.
device:
  programming:
    scale: {value: 0.5, source: "our devices, reduced noise"}
  accumulated_noise:
    scale: {value: 0.5, source: "our devices, reduced noise"}
tile:
  adc:
    bits: {value: 8, source: "our converter"}
programming: pairs-2
"""

path = Path(tempfile.mkdtemp()) / "my-pcm.yaml"
path.write_text(MY_TARGET)

found = tilewright.characterize(["pcm-512", path], times=["1h"], repeats=2, rows=256, columns=256)
for curve in found.curves:
    print(f"{curve.target:>8}: error of a standard product after an hour {curve.points[0].mean:.4f}")

torch.manual_seed(0)
model = torch.nn.Linear(512, 512, bias=False)
inputs = torch.rand(256, 512) * 2 - 1
exact = model(inputs)
for target in ("ideal", "pcm-512", path):
    plan = tilewright.compile(model, target=target, example_inputs=inputs)
    outputs = tilewright.Session(plan).advance_to("1h")(input=inputs)["output"]
    error = (outputs - exact).norm() / exact.norm()
    print(f"{plan.document.chip.name:>8}: error of the model after an hour {error:.4f}")
