"""Places in a network where a layer is called, and how samples lie in the inputs there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SampleAxis:
    """Place of the samples in a layer's input: a dimension that counts them, alone or folded with other things."""

    dimension: int
    innermost: bool
    """True if samples change fastest along it, else slowest."""


SAMPLES_FIRST = SampleAxis(dimension=0, innermost=False)
"""Usual place of the samples: the first dimension, [samples, ...]."""


@dataclass(frozen=True)
class Use:
    """One place in the graph where a layer is called."""

    input_range: float
    """α: the input that drives a row with the DAC's full scale; 1 where each vector has a range of its own."""
    sample_axis: SampleAxis | None
    """Dimension of the input that counts samples; None if there is none."""

    def layout(self, sizes: Sequence[int], samples: int) -> tuple[int, int] | None:
        """Order of the rows [before, samples, after] in an input of these leading sizes: (before, after).

        None where no dimension counts samples, or not as many.
        """
        if self.sample_axis is None or self.sample_axis.dimension >= len(sizes):
            return None
        axis = self.sample_axis.dimension
        each, left_over = divmod(sizes[axis], samples)
        if left_over:
            return None
        before, after = math.prod(sizes[:axis]), math.prod(sizes[axis + 1 :])
        return (before * each, after) if self.sample_axis.innermost else (before, each * after)
