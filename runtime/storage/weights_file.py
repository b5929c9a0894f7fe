"""The weights of a plan as one safetensors file: written tensor by tensor, read through a memory map.

safetensors' own ``save_file`` first copies every tensor into memory, and its reader keeps every page that was touched.
A plan may be larger than memory, so the writing (a length, a JSON header, the bytes) and the mapping are done here.
What a file holds, and whether it is whole, the library says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from tilewright.runtime.storage.memory_map import ALIGNED, MappedFile, used
from tilewright.targets.errors import InputError

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Names in the file of the types that a plan may hold."""
_TYPES = {name: dtype for dtype, name in DTYPES.items()}


def dtype_name(dtype: torch.dtype) -> str:
    """Name of a type in plans: float32 for torch.float32."""
    return str(dtype).removeprefix("torch.")


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> tuple[str, int]:
    """Write the tensors and return (sha256, bytes) of the file. At most one tensor is copied at a time.

    Those of whole multiples of ``ALIGNED`` bytes come first, so that they lie in the file as they do in memory: a
    product of floating point numbers may round otherwise where they do not.
    """
    tensors = dict(sorted(tensors.items(), key=lambda item: item[1].nbytes % ALIGNED != 0))
    header: dict[str, Any] = {}
    offset = 0
    for name, tensor in tensors.items():
        size = tensor.nbytes
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + size],
        }
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % ALIGNED)
    digest = hashlib.sha256()
    written = 0
    with path.open("wb") as file:

        def put(data: Any) -> None:
            nonlocal written
            file.write(data)
            digest.update(data)
            written += len(data)

        put(len(text).to_bytes(8, "little"))
        put(text)
        for tensor in tensors.values():
            put(tensor_bytes(used(tensor)))
    return digest.hexdigest(), written


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The raw little-endian bytes of a tensor; a view where it is contiguous."""
    flat = tensor.detach().contiguous().reshape(-1)
    if flat.stride() != (1,):  # of one number, which counts as contiguous whatever its stride
        flat = flat.as_strided(flat.shape, (1,))
    return flat.view(torch.uint8).numpy().data


class WeightsFile:
    """A safetensors file, memory-mapped: tensors are read when they are used."""

    def __init__(self, path: Path) -> None:
        """Open a file. Raises ``InputError`` if it is missing or not whole."""
        try:
            self._file = safe_open(str(path), framework="pt")
            self.names = set(self._file.keys())
            self._bytes = MappedFile(path)
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                self._header: dict[str, Any] = json.loads(file.read(length))
        except (SafetensorError, OSError, ValueError) as error:
            raise InputError(f"weights file {path} is damaged or missing: {error}") from error
        self._first_byte = 8 + length

    def shape(self, name: str) -> list[int]:
        """Shape of a tensor, from the header alone."""
        return list(self._file.get_slice(name).get_shape())

    def read(self, name: str) -> Tensor:
        """A tensor, backed by the file."""
        record = self._header[name]
        dtype = _TYPES.get(record["dtype"])
        if dtype is None:  # of fewer than eight bits, say
            tensor: Tensor = self._file.get_tensor(name)
            return tensor
        return self._bytes.tensor(dtype, record["shape"], self._first_byte + record["data_offsets"][0])
