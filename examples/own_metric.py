"""Your own data and metric in ten lines: the share of answers that stay what they were, on three chips over time."""

import torch

import tilewright

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 5)).eval()
inputs = torch.randn(200, 64)
labels = model(inputs).argmax(dim=1)


def agreement(predictions: torch.Tensor, labels: torch.Tensor) -> float:
    """Share of answers that are the labels, in %."""
    return 100 * float((predictions.argmax(dim=1) == labels).float().mean())


plan = tilewright.compile(model, example_inputs=inputs)
found = tilewright.evaluate(plan, metric=agreement, inputs=inputs, labels=labels, times=["1s", "1mo"], repeats=3)
for point in found.points:
    print(f"{point.time:>4}: {point.mean:.1f} % of {found.digital:.0f} %")
