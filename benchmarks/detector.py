"""Time and peak memory of compiling a detector of the YOLOv8 kind for images of 320 x 320: convolutions, no attention.

    OMP_WAIT_POLICY=passive python benchmarks/detector.py

Backbone, neck over three scales and heads of a YOLOv8n, with random weights. Linux.
"""

from __future__ import annotations

import json
import resource
import time
from typing import Any

import torch
from torch import Tensor, nn

import tilewright

CLASSES, BOX = 80, 64
SIDE = 320


class Convolution(nn.Sequential):
    """A convolution with batch norm and SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.SiLU(inplace=True),
        )


class Bottleneck(nn.Module):
    """Two convolutions, and the input beside them."""

    def __init__(self, channels: int, *, adds: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(Convolution(channels, channels, 3), Convolution(channels, channels, 3))
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        """The input's features, on top of it where ``adds``."""
        made: Tensor = self.body(x)
        return x + made if self.adds else made


class Stage(nn.Module):
    """Half of the channels through bottlenecks, all of their outputs side by side."""

    def __init__(self, inputs: int, outputs: int, count: int = 1, *, adds: bool = False) -> None:
        super().__init__()
        width = outputs // 2
        self.first, self.last = Convolution(inputs, outputs), Convolution((2 + count) * width, outputs)
        self.parts = nn.ModuleList(Bottleneck(width, adds=adds) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        """Features [samples, outputs, height, width]."""
        found = list(self.first(x).chunk(2, 1))
        for part in self.parts:
            found.append(part(found[-1]))
        made: Tensor = self.last(torch.cat(found, 1))
        return made


class Pyramid(nn.Module):
    """Pooling at three widths."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.last = Convolution(channels, channels // 2), Convolution(2 * channels, channels)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        found = [self.first(x)]
        for _ in range(3):
            found.append(self.pool(found[-1]))
        made: Tensor = self.last(torch.cat(found, 1))
        return made


def head(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """One head of one scale."""
    return nn.Sequential(Convolution(inputs, width, 3), Convolution(width, width, 3), nn.Conv2d(width, outputs, 1))


class Detector(nn.Module):
    """A detector: images [samples, 3, height, width] to boxes and classes [samples, 144, places]."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            Convolution(3, 16, 3, 2), Convolution(16, 32, 3, 2), Stage(32, 32, adds=True),
            Convolution(32, 64, 3, 2), Stage(64, 64, 2, adds=True),
        )  # fmt: skip
        self.middle = nn.Sequential(Convolution(64, 128, 3, 2), Stage(128, 128, 2, adds=True))
        self.coarse = nn.Sequential(Convolution(128, 256, 3, 2), Stage(256, 256, adds=True), Pyramid(256))
        self.larger = nn.Upsample(scale_factor=2)
        self.down = nn.ModuleList([Convolution(64, 64, 3, 2), Convolution(128, 128, 3, 2)])
        self.neck = nn.ModuleList([Stage(384, 128), Stage(192, 64), Stage(192, 128), Stage(384, 256)])
        self.boxes = nn.ModuleList(head(inputs, BOX, BOX) for inputs in (64, 128, 256))
        self.classes = nn.ModuleList(head(inputs, CLASSES, CLASSES) for inputs in (64, 128, 256))

    def forward(self, images: Tensor) -> Tensor:
        """Boxes and classes of all places at all scales."""
        fine = self.fine(images)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        up = self.neck[0](torch.cat([self.larger(coarse), middle], 1))
        small = self.neck[1](torch.cat([self.larger(up), fine], 1))
        medium = self.neck[2](torch.cat([self.down[0](small), up], 1))
        large = self.neck[3](torch.cat([self.down[1](medium), coarse], 1))
        found = [
            torch.cat([box(scale), kind(scale)], 1).flatten(2)
            for box, kind, scale in zip(self.boxes, self.classes, (small, medium, large), strict=True)
        ]
        return torch.cat(found, 2)


def measure() -> dict[str, Any]:
    """Processor seconds, with imports, and peak memory."""
    torch.manual_seed(0)
    model = Detector().eval()
    plan = tilewright.compile(model, example_inputs=torch.randn(1, 3, SIDE, SIDE))
    return {
        "parameters": plan.document.model.parameters,
        "layers": len(plan.document.layers),
        "processor_s": time.process_time(),
        "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
