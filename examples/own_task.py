"""A task of one's own for the command line: which of a model's outputs is the largest.

    tilewright evaluate PLAN --task examples/own_task.py:Largest --data DATA.npz

DATA.npz holds ``x``, the inputs with samples along the first dimension, and ``y``, the numbers of their classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import tilewright


class Largest(tilewright.Task):
    """Classification by the largest output."""

    metric = tilewright.Metric("accuracy, %", lambda found, wanted: 100 * (found == wanted).float().mean())

    def __init__(self, plan: tilewright.Plan, data: Path, limit: int | None) -> None:
        arrays = np.load(data)
        (record,) = plan.document.inputs
        self.samples = [{record.name: torch.tensor(x)} for x in arrays["x"][:limit]]
        self.labels = torch.tensor(arrays["y"][:limit])

    def read(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> Tensor:
        """The class of each sample."""
        (scores,) = outputs.values()
        return scores.argmax(dim=-1)
