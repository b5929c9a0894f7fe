"""The input of a plan that takes images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.tasks.images.arrays import CHANNELS
from tilewright.runtime.tasks.images.labelled import Pixels
from tilewright.targets.errors import InputError


class ImageInput:
    """The input that takes images: the plan's only one of 4 dimensions, else its only one of 2, which takes them flat.

    name: the input's. channels: that it takes; None where it does not say.
    """

    def __init__(self, plan: Plan) -> None:
        """Find the input. Raises ``InputError`` if there is none, several, or others that must be given too."""
        records = plan.document.inputs
        found = next((of for rank in (4, 2) if (of := [r for r in records if len(r.shape) == rank])), [])
        shapes = ", ".join(f"{record.name} {record.shape}" for record in records)
        if len(found) != 1:
            raise InputError(f"images need one input of 4 dimensions, or one of 2; the plan takes {shapes}")
        if any(record.default is None for record in records if record is not found[0]):
            raise InputError(f"image classification gives {found[0].name!r} alone; the plan takes {shapes}")
        self.name, self._shape = found[0].name, found[0].shape[1:]
        self._flat = len(self._shape) == 1
        self._channels_last = not self._flat and self._shape[0] not in CHANNELS and self._shape[2] in CHANNELS
        if self._channels_last:
            self._shape = [self._shape[2], *self._shape[:2]]
        self.channels = self._shape[0] if not self._flat and isinstance(self._shape[0], int) else None

    def fitted(self, image: Pixels, what: str) -> Tensor:
        """The input, without the dimension that counts samples, of an image [channels, height, width].

        what: the image, for sentences. Raises ``InputError`` if it does not fit.
        """
        channels, height, width = image.shape
        if self._flat:
            self._check([image.size], f"{what} has {channels} x {height} x {width} numbers", "option size")
            return torch.from_numpy(image.reshape(-1))
        self._check([channels], f"{what} has {channels} channel(s)", None)
        self._check([channels, height, width], f"{what} is {height} x {width} pixels", "options size or crop")
        return torch.from_numpy(np.ascontiguousarray(image.transpose(1, 2, 0)) if self._channels_last else image)

    def _check(self, sizes: list[int], what: str, options: str | None) -> None:
        if any(isinstance(wanted, int) and wanted != size for wanted, size in zip(self._shape, sizes, strict=False)):
            takes = " x ".join(map(str, self._shape[1:] if len(sizes) == 3 else self._shape[:1]))
            hint = f"; give the task's {options}" if options else ""
            raise InputError(f"{what}, and input {self.name!r} takes {takes}{hint}")
