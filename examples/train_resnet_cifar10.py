"""A ResNet for CIFAR-10 trained for a chip, in a plain torch loop: on a GPU where there is one.

    python examples/train_resnet_cifar10.py resnet32.safetensors cifar10-jpeg-train.npz -o start --recipe digital
    python examples/train_resnet_cifar10.py start/trained.safetensors cifar10-jpeg-train.npz -o for-chip \
        --recipe ftj-thesis --target ftj-balanced --epochs 4
    tilewright evaluate for-chip/plan --task image-classification --data cifar10-jpeg-test.npz \
        --task-option mean=[.485,.456,.406] --task-option std=[.229,.224,.225]

The network and the files are those of resnet_cifar10.py. Noise is the recipe's, optimiser and rate those of ftj-thesis,
which was made for this network; the rate falls to zero by half a cosine. Images are shifted by up to four pixels and
mirrored, as He et al. (2016) do. The folder gets the trained weights and a plan for the target.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from resnet_cifar10 import load_resnet, normalised_images
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

import tilewright

SHIFT = 4
"""Pixels by which an image is shifted at most."""


def varied(images: Tensor, order: torch.Generator) -> Tensor:
    """Images [count, 3, 32, 32], each shifted and mirrored at random."""
    count, device = len(images), images.device
    rows, columns = (torch.randint(2 * SHIFT + 1, (count, 1), generator=order).to(device) for _ in range(2))
    mirrored = torch.rand(count, 1, generator=order).to(device) < 0.5
    pixels = torch.arange(images.shape[-1], device=device)
    across = torch.where(mirrored, pixels.flip(0), pixels) + columns
    number = torch.arange(count, device=device).view(-1, 1, 1)
    wide = pad(images, (SHIFT,) * 4).permute(0, 2, 3, 1)
    return wide[number, (pixels + rows).unsqueeze(2), across.unsqueeze(1)].permute(0, 3, 1, 2).contiguous()


def train(model: nn.Module, images: Tensor, classes: Tensor, recipe: tilewright.Recipe, steps: int, seed: int) -> None:
    """Train by the recipe's SGD for so many steps; a line every hundred."""
    schedule, order, prepared = recipe.schedule, torch.Generator().manual_seed(seed), not recipe.imposes_nothing
    rate, size = float(schedule.learning_rate), int(schedule.batch_size)
    optimizer = torch.optim.SGD(
        tilewright.parameter_groups(model, float(schedule.weight_decay)), rate, momentum=float(schedule.momentum or 0)
    )
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2)
    model.train()
    begun, left = time.perf_counter(), torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        if not len(left):
            left = torch.randperm(len(images), generator=order)
        batch, left = left[:size].to(images.device), left[size:]
        if prepared:
            tilewright.set_progress(model, step / steps)
        optimizer.zero_grad()
        loss = cross_entropy(model(varied(images[batch], order)), classes[batch])
        loss.backward()
        optimizer.step()
        falling.step()
        if prepared:
            tilewright.after_step(model)
        if step % 100 == 99:
            seconds, found = time.perf_counter() - begun, float(loss.detach())
            print(f"step {step + 1} of {steps}: loss {found:.3f}, {seconds:.0f} s", flush=True)
    model.eval()


def main() -> None:
    """Prepare, train, compile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("images", type=Path, help="images to train on")
    parser.add_argument("-o", "--output", type=Path, default=Path("trained"))
    parser.add_argument("--target", default="pcm-512")
    parser.add_argument("--recipe", default="ftj-thesis", help="digital imposes nothing: the control")
    parser.add_argument("--strength", type=float, help="of the noise, in place of the recipe's")
    parser.add_argument("--epochs", type=float, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()

    schedule = tilewright.load_recipe("ftj-thesis").schedule
    changes = {} if given.strength is None else {"weight_noise.strength": given.strength}
    recipe = tilewright.load_recipe(given.recipe, changes).model_copy(update={"schedule": schedule})
    model = load_resnet(given.weights)
    with np.load(given.images, allow_pickle=False) as file:
        classes = torch.tensor(file["labels"]).long()
    images = normalised_images(given.images, len(classes))
    samples = images[:: max(1, len(images) // 64)][:64]
    if not recipe.imposes_nothing:
        tilewright.prepare(
            model, given.target, recipe=recipe, example_inputs=samples[:2], calibration={"images": samples},
            seed=given.seed,
        )  # fmt: skip
    steps = max(1, round(given.epochs * math.ceil(len(images) / int(schedule.batch_size))))
    train(model.to(given.device), images.to(given.device), classes.to(given.device), recipe, steps, given.seed)

    model.cpu()
    plan = tilewright.compile(
        model, given.target, example_inputs=samples[:2], calibration={"images": samples}, name=given.output.name
    )
    given.output.mkdir(parents=True, exist_ok=True)
    plan.save(given.output / "plan", overwrite=True)
    plain = model if recipe.imposes_nothing else tilewright.restore(model)
    save_file(
        {name: tensor.contiguous() for name, tensor in plain.state_dict().items()}, given.output / "trained.safetensors"
    )
    print(f"{plan} in {given.output / 'plan'}")


if __name__ == "__main__":
    main()
