"""A network of your own in a dozen lines: compile, save, load, run on a simulated chip."""

import tempfile
from pathlib import Path

import torch

import tilewright

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(784, 600), torch.nn.ReLU(), torch.nn.Linear(600, 10)).eval()
images = torch.rand(64, 784)

plan = tilewright.compile(model, target="pcm-512", example_inputs=images, name="two layers")
folder = plan.save(Path(tempfile.mkdtemp()) / "plan")

session = tilewright.Session(tilewright.load(folder), seed=0)
exact = model(images)
for time in ("1s", "1d", "1mo"):
    outputs = session.advance_to(time)(input=images)["output"]
    error = (outputs - exact).norm() / exact.norm()
    print(f"{time:>4}: relative error {error:.3f}")
