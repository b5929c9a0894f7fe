"""Records of adapters: digital layers beside a plan's layers, one set of which is chosen for a run.

A low-rank adapter (LoRA, Hu et al. 2021) adds scale * B A x to the columns of one matrix of the model. A replacement
takes a matrix's place: a classifier of another task. The base's tiles are programmed once and know nothing of either.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from tilewright.runtime.plan.decisions import Decision
from tilewright.runtime.plan.file_records import FileRecord, TensorRecord
from tilewright.runtime.plan.types import Natural, Path_, Positive, Record, Sha256

MOST_ADAPTERS = 1024
ADAPTER_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
AdapterName = Annotated[str, StringConstraints(pattern=ADAPTER_NAME, max_length=64)]
"""Name of an adapter: letters, digits, _ and -."""


class LowRankRecord(Record):
    """Low-rank matrices beside one part of a layer. Its tensors are A [rank, inputs] and B [the part's columns, rank].

    layer: its name. part: number of the part of the layer. module: the model's name of the matrix, in the adapter.
    rank: of the product. alpha: as the adapter was trained with. parameters: numbers in A and B.
    """

    layer: Path_
    part: Natural
    module: str
    rank: Positive
    alpha: float
    scale: float = Field(description="factor of the product: alpha / rank, or alpha / sqrt(rank)")
    parameters: Positive


class ReplacementRecord(Record):
    """Digital matrix in place of one part of a layer. Its tensors are weight [outputs, inputs] and bias [outputs].

    layer: its name. part: number of the part of the layer. module: the model's name of the matrix, in the adapter.
    has_bias: true if a bias is added. parameters: numbers in both.
    """

    layer: Path_
    part: Natural
    module: str
    outputs: Positive = Field(description="rows of the matrix; the base's unless it gives an output of the model")
    has_bias: bool
    parameters: Positive


class AdapterRecord(Record):
    """One adapter. name: that chooses it. source: the folder that it was read from, without its path.

    low_rank, replacements: layers beside and in place of the plan's. decisions: how it is run, and why. tensors: in its
    file, by name. weights: the file, in the plan's folder adapters/.
    """

    name: AdapterName
    source: str
    sha256: Sha256 = Field(description="hash of what it computes: of its layers, and of their tensors' bytes")
    base: str | None = Field(description="model that the adapter says it was trained on")
    low_rank: list[LowRankRecord]
    replacements: list[ReplacementRecord]
    decisions: list[Decision]
    tensors: dict[Path_, TensorRecord]
    weights: FileRecord

    @property
    def pieces(self) -> list[LowRankRecord | ReplacementRecord]:
        """Parts of the adapter: those beside layers, then those in place of layers."""
        return [*self.low_rank, *self.replacements]

    @property
    def parameters(self) -> int:
        """Number of its parameters: r (inputs + outputs) of each low-rank pair, and all of the replacements."""
        return sum(piece.parameters for piece in self.pieces)

    @property
    def layers(self) -> list[str]:
        """Names of the layers that it is beside or in place of, each once."""
        return list(dict.fromkeys(piece.layer for piece in self.pieces))
