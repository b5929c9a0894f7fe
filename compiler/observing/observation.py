"""Observation of an activation while the sample inputs run."""

from __future__ import annotations

import torch
from torch import Tensor

KEPT_ROWS = 256
"""Input vectors kept for each use of a layer."""


class Observed:
    """One tensor over the calibration set: the maximum of each channel, and rows kept from each sample."""

    def __init__(self, samples: int, wanted: int) -> None:
        """Observe nothing yet. samples: in the calibration set; wanted: rows to keep of all of them together."""
        self._rows_a_sample = -(-wanted // samples)
        self._capacity = self._rows_a_sample * samples
        self._buffer = torch.empty(0)
        self._filled = 0
        self.channel_largest = torch.empty(0)
        """The largest |value| of each channel, over all rows."""

    def see(self, values: Tensor) -> None:
        """Note the maxima, and keep evenly spaced rows of ``values`` [rows, channels]."""
        rows, channels = values.shape
        if not self._filled:
            self._buffer = torch.empty(self._capacity, channels)
            self.channel_largest = torch.zeros(channels)
        self.channel_largest = torch.maximum(self.channel_largest, values.abs().amax(dim=0))
        places = torch.linspace(0, rows - 1, min(self._rows_a_sample, rows)).round().long()
        self._buffer[self._filled : self._filled + len(places)] = values[places]
        self._filled += len(places)

    @property
    def kept(self) -> Tensor:
        """Rows of the tensor that were kept [rows, channels]."""
        return self._buffer[: self._filled]

    @property
    def largest(self) -> float:
        """Largest |value| over all channels."""
        return float(self.channel_largest.max()) if self.channel_largest.numel() else 0.0

    def columns(self) -> list[Observed]:
        """Observations of each channel alone; this one where nothing was seen."""
        if not self.kept.numel():
            return [self]
        channels = zip(self.kept.split(1, dim=1), self.channel_largest.split(1), strict=True)
        return [_observed(kept, largest) for kept, largest in channels]

    def divided_by(self, channel_scale: Tensor) -> Observed:
        """Observation of the tensor divided by a number a channel [channels]."""
        return _observed(self.kept / channel_scale, self.channel_largest / channel_scale)


def _observed(kept: Tensor, channel_largest: Tensor) -> Observed:
    observed = Observed(1, 1)
    observed._buffer, observed._filled, observed.channel_largest = kept, len(kept), channel_largest
    return observed
