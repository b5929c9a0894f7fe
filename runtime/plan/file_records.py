"""Records of files beside plan.json, and of the tensors in them."""

from __future__ import annotations

from tilewright.runtime.plan.types import Natural, Record, Sha256, Shape


class TensorRecord(Record):
    """Tensor that the graph or a layer uses, and its place in the weights file."""

    stored_as: str
    dtype: str
    shape: Shape


class FileRecord(Record):
    """File beside plan.json: name, size and hash."""

    file: str
    sha256: Sha256
    bytes: Natural
