"""A ResNet for CIFAR-10 on tiles: build it in torch, load its weights, compile it on images that it was trained on.

    python examples/resnet_cifar10.py resnet20.safetensors cifar10-jpeg-train.npz -o plan [--target pcm-512]
    tilewright evaluate plan --task image-classification --data cifar10-jpeg-test.npz \
        --task-option mean=[.485,.456,.406] --task-option std=[.229,.224,.225]

The weights have the names of github.com/akamaster/pytorch_resnet_cifar10 without its ``module.``; the depth follows
from them. The images are an .npz of JPEG files one after another: ``jpeg`` (their bytes), ``offsets``, ``labels``.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import pad

import tilewright

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Block(nn.Module):
    """Two convolutions beside a shortcut without weights: every other pixel, and zeros for the new channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.new = stride, (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps [images, outputs, height / stride, width / stride]."""
        y: Tensor = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.stride > 1:
            x = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.new, self.new))
        return (y + x).relu()


class ResNet(nn.Module):
    """ResNet for images of 32 x 32 (He et al. 2016): three stages of ``depth`` blocks with 16, 32 and 64 channels."""

    def __init__(self, depth: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, depth)
        self.layer2 = self._stage(16, 32, depth)
        self.layer3 = self._stage(32, 64, depth)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _stage(inputs: int, outputs: int, depth: int) -> nn.Sequential:
        first = Block(inputs, outputs, outputs // inputs)
        return nn.Sequential(first, *(Block(outputs, outputs, 1) for _ in range(depth - 1)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits [images, classes]."""
        maps = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(images)).relu())))
        logits: Tensor = self.linear(maps.mean(dim=(2, 3)))
        return logits


def load_resnet(path: Path) -> ResNet:
    """The network of a file of weights, in eval mode."""
    weights = load_file(path)
    model = ResNet(depth=len({name.split(".")[1] for name in weights if name.startswith("layer1.")}))
    model.load_state_dict(weights)
    return model.eval()


def normalised_images(path: Path, count: int) -> Tensor:
    """Images [count, 3, 32, 32] from all over the file, as the network takes them."""
    with np.load(path, allow_pickle=False) as file:
        stored, offsets = file["jpeg"], file["offsets"]
    chosen = np.linspace(0, len(offsets) - 2, count).astype(int)
    decoded = [Image.open(io.BytesIO(stored[offsets[n] : offsets[n + 1]].tobytes())).convert("RGB") for n in chosen]
    images = torch.tensor(np.stack([np.asarray(image) for image in decoded])).permute(0, 3, 1, 2) / 255
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)


def main() -> None:
    """Compile, save, and say how to evaluate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("images", type=Path, help="images that input ranges are fixed on: not those that are evaluated")
    parser.add_argument("-o", "--output", type=Path, default=Path("plan"))
    parser.add_argument("--target", default="pcm-512")
    parser.add_argument("--samples", type=int, default=64)
    options = parser.parse_args()

    model, images = load_resnet(options.weights), normalised_images(options.images, options.samples)
    plan = tilewright.compile(
        model, options.target, example_inputs=images[:2], calibration={"images": images}, name=options.weights.stem
    )
    plan.save(options.output, overwrite=True)
    print(f"{plan} in {options.output}")


if __name__ == "__main__":
    main()
