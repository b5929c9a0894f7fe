"""A network trained for the chip, beside one that was trained on for as long digitally: digits on noisy devices.

    python examples/train_for_the_chip.py [--steps 300] [--target pcm-512] [--noise 8] [--recipe device-noise]

Digits are easy: on the library's devices they lose next to nothing. So writes are made eight times as noisy here. A
small network of 8 x 8 pixels (scikit-learn's digits) is trained digitally; two copies of it then train for the same
steps, one of them with the noise and the converters of the chip. The figures are of images that no training saw, on
five chips.
"""

from __future__ import annotations

import argparse
import copy

import torch
from sklearn.datasets import load_digits
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import tilewright


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    """Share of right digits, in %, of logits [images, 10]."""
    return 100 * float(accuracy_score(labels, predictions.argmax(dim=1)))


def train(model: nn.Module, images: Tensor, digits: Tensor, steps: int, rate: float) -> None:
    """Train by AdamW on batches of 64, in an order that is the same for every network; the rate falls to zero."""
    order = torch.Generator().manual_seed(0)
    prepared = any(name.endswith("input_range") for name in model.state_dict())
    optimizer = torch.optim.AdamW(tilewright.parameter_groups(model, weight_decay=0.01), rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    model.train()
    for step in range(steps):
        if prepared:
            tilewright.set_progress(model, step / steps)
        batch = torch.randint(len(images), (64,), generator=order)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), digits[batch]).backward()
        optimizer.step()
        schedule.step()
        if prepared:
            tilewright.after_step(model)
    model.eval()


def main() -> None:
    """Train three times, compile, and measure a second and a month after programming."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--target", default="pcm-512", help="one of phase-change memory")
    parser.add_argument(
        "--noise", type=float, default=8, help="size of the writes' noise, in parts of measured devices"
    )
    parser.add_argument("--recipe", default="device-noise")
    given = parser.parse_args()
    target = tilewright.load_target(given.target, {"device.programming.scale": given.noise})
    recipe = tilewright.load_recipe(given.recipe, {"weight_noise.strength": 1})  # of the target's own noise
    pixels, labels = load_digits(return_X_y=True)
    parts = train_test_split(pixels / 16, labels, test_size=0.4, random_state=0)
    images, unseen = (torch.tensor(part, dtype=torch.float32) for part in parts[:2])
    digits, right = (torch.tensor(part) for part in parts[2:])

    torch.manual_seed(0)
    start = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))
    train(start, images, digits, given.steps, rate=3e-3)
    digital, for_chip = copy.deepcopy(start), copy.deepcopy(start)
    train(digital, images, digits, given.steps, rate=1e-3)
    tilewright.prepare(for_chip, target, recipe=recipe, example_inputs=images[:64])
    train(for_chip, images, digits, given.steps, rate=1e-3)

    for name, model in (("trained digitally", digital), ("trained for the chip", for_chip)):
        plan = tilewright.compile(model, target, example_inputs=images[:64])
        found = tilewright.evaluate(
            plan, metric=accuracy, inputs={"input": unseen}, labels=right, times=("1s", "1mo"), repeats=5
        )
        figures = ", ".join(f"{point.mean:.1f} ± {point.standard_error:.1f} at {point.time}" for point in found.points)
        print(f"{name}: {found.digital:.1f} % digitally, {figures}")


if __name__ == "__main__":
    main()
