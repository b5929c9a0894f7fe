"""The linear layer of transformers' GPT-2, whose weight is written [inputs, outputs], prepared for a chip."""

from __future__ import annotations

from torch import Tensor
from transformers.pytorch_utils import Conv1D

from tilewright.compiler.training.prepared import PreparedLayer


class PreparedConv1D(PreparedLayer, Conv1D):  # type: ignore[misc]
    """A prepared ``transformers.pytorch_utils.Conv1D``."""

    torch_class = Conv1D

    def matrix(self) -> Tensor:
        """Weights [columns, rows] as tiles hold them."""
        return self.weight.t()
