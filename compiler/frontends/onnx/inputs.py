"""Inputs of ONNX models: sizes, types, and values that make sense."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from onnx import GraphProto, ValueInfoProto
from tokenizers import Tokenizer

from tilewright.compiler.frontends.automatic_inputs import EXAMPLE_BATCHES, EXAMPLE_LENGTHS, InputSpec, ModelInputs
from tilewright.compiler.frontends.onnx.constants import constants_of
from tilewright.compiler.frontends.onnx.values import type_of
from tilewright.compiler.network.traced import Inputs
from tilewright.targets.errors import InputError

IMAGE_SIDES = (64, 32, 96)
PASSING = ("Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape", "Flatten", "Clip")
"""Operators behind which token ids are still token ids."""
LONGEST_TEXT = 512


def input_specs(graph: GraphProto, names: dict[str, str]) -> list[InputSpec]:
    """The inputs as the file declares them, by their plain names (``names``: plain -> the model's own)."""
    infos = {value.name: value for value in graph.input}
    bounds = _token_bounds(graph)
    return [_spec(plain, infos[name], bounds.get(name)) for plain, name in names.items()]


def with_joint_sizes(specs: list[InputSpec]) -> list[InputSpec]:
    """Inputs with one name for sizes that are most likely one: exporters name them apart for every input.

    Joint are the first dimension of all inputs, and the second of all texts and masks (those of a decoder apart).
    """
    first: dict[tuple[int, str], str] = {}

    def name(spec: InputSpec, place: int, size: int | str) -> int | str:
        if not isinstance(size, str) or (place > 0 and spec.kind == "numbers"):
            return size
        whose = "decoder" if place > 0 and spec.name.startswith("decoder") else ""
        return first.setdefault((place, whose), size)

    return [
        replace(spec, shape=tuple(name(spec, place, size) for place, size in enumerate(spec.shape))) for spec in specs
    ]


def onnx_inputs(specs: list[InputSpec], folder: Path | None, sizes: dict[str, int], times: int = 1) -> ModelInputs:
    """Inputs that an ONNX model takes, and the means to make them.

    sizes: of dimensions that the user's own samples have, by their names in ``specs``. times: how many times the usual
    size the others are, but for the batch.
    """
    varying = list(dict.fromkeys(size for spec in specs for size in spec.shape if isinstance(size, str)))
    example_sizes = [
        {name: _size(name, place, specs, variant, times) for place, name in enumerate(varying)} for variant in range(3)
    ]
    example_sizes = [{**one, **sizes} for one in example_sizes]
    encode = _text_encoder(folder, specs)
    first = next(iter(specs), None)
    batch = first.shape[0] if first is not None and first.shape else None
    tokens = next((spec for spec in specs if spec.kind == "tokens" and len(spec.shape) == 2), None)
    return ModelInputs(
        specs,
        example_sizes,
        batch=batch if isinstance(batch, str) else None,
        length=tokens.shape[1] if tokens is not None and isinstance(tokens.shape[1], str) and times == 1 else None,
        encode=encode,
    )


def _spec(plain: str, info: ValueInfoProto, bound: int | None) -> InputSpec:
    if info.type.WhichOneof("value") != "tensor_type":
        raise InputError(f"input {info.name!r} is not a tensor; tilewright compiles networks of tensors")
    kind = info.type.tensor_type
    dtype = type_of(kind.elem_type, f"input {info.name!r}")
    if not kind.HasField("shape"):
        raise InputError(f"input {info.name!r} has no shape, not even its number of dimensions; export it with one")
    shape: list[int | str] = []
    for place, dimension in enumerate(kind.shape.dim):
        if dimension.HasField("dim_value") and dimension.dim_value > 0:
            shape.append(int(dimension.dim_value))
        else:
            shape.append(dimension.dim_param or (f"batch of {plain}" if place == 0 else f"size {place} of {plain}"))
    if dtype.is_floating_point:
        return InputSpec(plain, tuple(shape), "numbers", dtype)
    if "mask" in plain or dtype == torch.bool:
        return InputSpec(plain, tuple(shape), "mask", dtype)
    if bound is not None and bound > 2:
        return InputSpec(plain, tuple(shape), "tokens", dtype, bound=min(bound, torch.iinfo(dtype).max))
    return InputSpec(plain, tuple(shape), "zeros", dtype)


def _token_bounds(graph: GraphProto) -> dict[str, int]:
    """Rows of the smallest table that each input of token ids reads from, by the input's name."""
    rows = {name: list(tensor.dims) for name, tensor in constants_of(graph).items()}
    source = {value.name: value.name for value in graph.input}
    bounds: dict[str, int] = {}
    for node in graph.node:
        if node.op_type in PASSING and node.input and node.input[0] in source:
            source[node.output[0]] = source[node.input[0]]
        if node.op_type == "Gather" and node.input[0] in rows and node.input[1] in source:
            axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 0)
            shape = rows[node.input[0]]
            if -len(shape) <= axis < len(shape):
                name = source[node.input[1]]
                bounds[name] = min(bounds.get(name, shape[axis]), shape[axis])
    return bounds


def _size(name: str, place: int, specs: list[InputSpec], variant: int, times: int) -> int:
    """A size for a dimension that may vary: of the batch, of an image's side, or of a text."""
    users = [(spec, spec.shape.index(name)) for spec in specs if name in spec.shape]
    if all(where == 0 for _, where in users):
        return EXAMPLE_BATCHES[variant]
    if any(spec.kind == "numbers" and len(spec.shape) == 4 and where >= 2 for spec, where in users):
        return times * IMAGE_SIDES[variant]
    return times * EXAMPLE_LENGTHS[variant] + (place - 1 if place > 1 else 0)


def _text_encoder(folder: Path | None, specs: list[InputSpec]) -> Callable[[str], Inputs] | None:
    """Encoder of text with the tokenizer beside the model, if the model takes text alone; else None."""
    names = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
    path = folder / "tokenizer.json" if folder is not None else None
    if path is None or not path.is_file() or not {spec.name for spec in specs} <= set(names):
        return None
    if any(len(spec.shape) != 2 or not isinstance(spec.shape[1], str) for spec in specs):
        return None
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise InputError(f"the tokenizer {str(path)!r} beside the model cannot be read: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST_TEXT)

    def encode(text: str) -> Inputs:
        encoded = tokenizer.encode(text)
        return {spec.name: torch.tensor([getattr(encoded, names[spec.name])], dtype=spec.dtype) for spec in specs}

    return encode
