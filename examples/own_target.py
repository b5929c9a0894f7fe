"""A target of your own: take pcm-512, give it an 8-bit ADC and quieter devices, and compare."""

import tempfile
from pathlib import Path

import torch
import yaml

import tilewright

torch.manual_seed(0)
model = torch.nn.Linear(512, 512, bias=False)
inputs = torch.rand(256, 512) * 2 - 1

description = tilewright.load_target("pcm-512").model_dump(mode="json")
description["name"] = "my-pcm"
description["tile"]["adc"]["bits"] |= {"value": 8, "source": "our converter"}
description["device"]["programming"]["scale"] |= {"value": 0.5, "source": "our devices, reduced noise"}
description["device"]["accumulated_noise"]["scale"] |= {"value": 0.5, "source": "our devices, reduced noise"}
path = Path(tempfile.mkdtemp()) / "my-pcm.yaml"
path.write_text(yaml.safe_dump(description, sort_keys=False))

exact = model(inputs)
for target in ("ideal", "pcm-512", path):
    plan = tilewright.compile(model, target=target, example_inputs=inputs)
    outputs = tilewright.Session(plan).advance_to("1h")(input=inputs)["output"]
    error = (outputs - exact).norm() / exact.norm()
    print(f"{plan.document.target.name:>8}: error of the product after an hour {error:.4f}")
