"""Frontend for ONNX: a file or a ModelProto to a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, fx
from torch._subclasses.fake_tensor import FakeTensorMode

from tilewright.compiler.frontends.automatic_inputs import (
    InputSpec,
    ModelInputs,
    calibration_set,
    longest_sizes,
    split_samples,
)
from tilewright.compiler.frontends.exported import ExportedGraph, quiet_tracing
from tilewright.compiler.frontends.identity import identity_of
from tilewright.compiler.frontends.input_names import by_plain_names
from tilewright.compiler.frontends.onnx.dequantise import is_quantised
from tilewright.compiler.frontends.onnx.inputs import input_specs, onnx_inputs, with_joint_sizes
from tilewright.compiler.frontends.onnx.network import OnnxNetwork
from tilewright.compiler.frontends.onnx.original import SATURATES, original_of, products_saturate
from tilewright.compiler.frontends.onnx.reading import OnnxSource, read_model
from tilewright.compiler.frontends.settled_sizes import settled
from tilewright.compiler.frontends.size_trials import MOST_KEPT
from tilewright.compiler.frontends.tracing_errors import export_reason
from tilewright.compiler.network.traced import Inputs, Traced
from tilewright.runtime.execution.inputs import numbers_of
from tilewright.targets.errors import InputError

LARGEST_TENSOR = 2**30
"""Largest number of elements of a tensor inside the network while the examples run."""
LARGER = (1, 2, 4, 8, 16, 32, 64)
"""Multiples of the usual sizes, tried in turn until the model takes one, where it leaves sizes open."""
LONGEST_REASON = 400
ALWAYS_ALLOWED = 2**26
"""Number of elements that a tensor inside the network may have even where inputs and weights are few."""
MOST_ELEMENTS = 2**32
"""Largest number of elements of all tensors of a graph together."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def trace_onnx(model: str | Path | ModelProto, example_inputs: Any = None, calibration: Any = None) -> Traced:
    """Read, check and trace an ONNX model.

    example_inputs: arrays by input name with the sizes to trace at; sizes that the model leaves open are chosen if not
    given. calibration: None for an automatic set, a list of texts where a tokenizer lies beside the model, or arrays by
    input name, samples first. Raises ``InputError`` for what is not a model, not valid or not supported.
    """
    source = read_model(model)
    if is_quantised(source.model.graph):
        source.dequantise()
        if products_saturate():
            source.notes.append(SATURATES)
    network = OnnxNetwork(source.model, str(source.folder)).eval()
    network.check_finite()
    parameters, copies = network.stored_parameters(), network.stored_again()
    samples = calibration
    if isinstance(calibration, Mapping):
        samples = by_plain_names(calibration, network.input_names)
    wanted, exported = _traced(source, network, example_inputs, samples)
    fixed = wanted.fixed_sizes(exported.inputs)
    wanted = wanted.with_sizes(fixed)
    _note_changes(source, copies, fixed)
    examples = _examples(network, wanted)
    if wanted.length is not None and not _takes(network, wanted, longest_sizes(wanted)):
        wanted = replace(wanted, length=None)
    in_copies = sum(parameters[name].numel() for name in copies.values())
    producer = f"{source.model.producer_name} {source.model.producer_version}".strip()
    architecture = source.model.graph.name or producer or "ONNX graph"
    return settled(
        exported,
        lambda inputs: list(network(inputs).values()),
        examples,
        *calibration_set(wanted, samples),
        model=identity_of(network, "onnx", source.name, architecture, in_copies=in_copies),
        original=original_of(source, network.input_names),
        parameters=dict(parameters),
        copies=copies,
        tokenizer_files=_tokenizer_files(source) if wanted.encode is not None else {},
        unused_tensors=source.unused_tensors,
        notes=source.notes,
    )


def _traced(
    source: OnnxSource, network: OnnxNetwork, example_inputs: Any, samples: Any
) -> tuple[ModelInputs, ExportedGraph]:
    """The graph, traced with sizes joined that are most likely one; with all apart if that fails."""
    declared = input_specs(source.model.graph, network.input_names)
    joint = with_joint_sizes(declared)
    wanted = _workable(network, lambda times: _inputs(source, network, joint, example_inputs, samples, times))
    try:
        return wanted, _export(network, wanted)
    except InputError:
        if joint == declared:
            raise
        apart = _workable(network, lambda times: _inputs(source, network, declared, example_inputs, samples, times))
        return apart, _export(network, apart)


def _workable(network: OnnxNetwork, inputs: Callable[[int], ModelInputs]) -> ModelInputs:
    """Inputs of usual sizes, or of the first larger ones whose shapes the network takes, else the usual ones.

    inputs: function that makes inputs of so many times the sizes that are made up.
    """
    return next((wanted for wanted in map(inputs, LARGER) if _takes_shapes(network, wanted)), inputs(1))


def _takes_shapes(network: OnnxNetwork, wanted: ModelInputs) -> bool:
    """True if the network runs on inputs of these shapes, tried without numbers."""
    try:
        example = wanted.example(wanted.example_sizes[0], padded=False)
        with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode(), quiet_tracing():
            network({name: torch.empty(value.shape, dtype=value.dtype) for name, value in example.items()})
    except Exception:  # noqa: BLE001 (what would not fit in memory, what it refuses, or what has no shape without numbers)
        return False
    return True


def _note_changes(source: OnnxSource, copies: Mapping[str, str], fixed: Mapping[str, int]) -> None:
    if copies:
        shown = next(f"{name} of {original}" for name, original in copies.items())
        source.notes.append(f"{len(copies)} stored matrices are copies and share the devices of the first ({shown})")
    if fixed:
        shown = ", ".join(f"{name} = {size}" for name, size in fixed.items())
        source.notes.append(f"sizes that the model declares as open are fixed inside its graph: {shown}")


@torch.inference_mode()
def _takes(network: OnnxNetwork, wanted: ModelInputs, sizes: Mapping[str, int]) -> bool:
    """True if the network runs at these sizes: its table of positions may be short."""
    try:
        network(wanted.example(sizes, padded=False))
    except InputError:
        return False
    return True


def _inputs(
    source: OnnxSource, network: OnnxNetwork, specs: list[InputSpec], example_inputs: Any, samples: Any, times: int
) -> ModelInputs:
    folder = source.folder if source.file is not None else None
    given: Mapping[str, Tensor] = {}
    if example_inputs is not None:
        if not isinstance(example_inputs, Mapping):
            raise InputError("example_inputs of an ONNX model must be a mapping of arrays by input name")
        given = {
            name: numbers_of(f"example input {name!r}", value)
            for name, value in by_plain_names(example_inputs, network.input_names).items()
        }
    elif isinstance(samples, Mapping):
        given = split_samples(samples, [spec.name for spec in specs])[0]
    return onnx_inputs(specs, folder, _sizes_of(specs, given), times)


def _sizes_of(specs: list[InputSpec], given: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes that the user's own inputs have, except of the batch."""
    sizes: dict[str, int] = {}
    for spec in specs:
        shape = list(given[spec.name].shape) if spec.name in given else []
        if shape and len(shape) != len(spec.shape):
            raise InputError(f"input {spec.name!r} was given with shape {shape}, the model takes {list(spec.shape)}")
        sizes |= {name: size for name, size in list(zip(spec.shape, shape, strict=False))[1:] if isinstance(name, str)}
    return sizes


def _export(network: OnnxNetwork, wanted: ModelInputs) -> ExportedGraph:
    example = wanted.example(wanted.example_sizes[0], padded=False)
    shapes: dict[str, Any] = {
        spec.name: {place: torch.export.Dim.AUTO for place, size in enumerate(spec.shape) if isinstance(size, str)}
        for spec in wanted.specs
    }
    try:
        with torch.no_grad(), quiet_tracing():
            program = torch.export.export(network, (example,), dynamic_shapes={"inputs": shapes}, strict=False)
        _check_sizes(program.graph, _largest_tensor(network, example))
        return ExportedGraph(program, network.input_names, example=example)
    except Exception as error:  # torch.export raises many types, none of them its own
        reason = str(error) if isinstance(error, InputError) else f"it cannot be traced: {export_reason(error)}"
        if any(isinstance(size, str) for spec in wanted.specs for size in spec.shape):
            tried = ", ".join(f"{name} {list(value.shape)}" for name, value in example.items())
            reason = (
                "if the model takes only certain sizes, give sample inputs of such a size (calibration, or "
                f"example_inputs); with made-up inputs ({tried}): {reason[:LONGEST_REASON]}"
            )
        raise InputError(reason) from error


def _largest_tensor(network: OnnxNetwork, example: Inputs) -> int:
    """Elements that one tensor may have: a few inputs and weights make no more than their product, or it is a bomb."""
    given = sum(value.numel() for value in example.values())
    weights = sum(parameter.numel() for parameter in network.parameters())
    return min(LARGEST_TENSOR, ALWAYS_ALLOWED + 2 * given * (given + weights))


def _check_sizes(graph: fx.Graph, largest: int) -> None:
    """Refuse a graph whose tensors would not fit in memory, before any is made. largest: elements of one of them."""
    total = 0
    for node in graph.nodes:
        value = node.meta.get("val")
        if node.op == "call_function" and isinstance(value, Tensor):
            size = value.numel()
            hint = size if isinstance(size, int) else size.node.hint
            total += hint or 0
            if (hint or 0) > largest or total > MOST_ELEMENTS:
                raise InputError(
                    f"node {node.name!r} makes a tensor of {hint} elements, allowed are {largest}, and "
                    f"{MOST_ELEMENTS} in all"
                )


@torch.inference_mode()
def _examples(network: OnnxNetwork, wanted: ModelInputs) -> list[tuple[Inputs, list[Tensor]]]:
    """Inputs of several sizes with the network's outputs; sizes that the network itself refuses are left out.

    Where outputs are large, the first sizes do.
    """
    found: list[tuple[Inputs, list[Tensor]]] = []
    for place, inputs in enumerate(wanted.examples()):
        if any(all(torch.equal(inputs[name], other[name]) for name in inputs) for other, _ in found):
            continue
        if sum(value.numel() for _, outputs in found for value in outputs) > MOST_KEPT:
            break
        try:
            outputs = list(network(inputs).values())
        except InputError:
            if place == 0:
                raise
            continue
        found.append((inputs, outputs))
    return found


def _tokenizer_files(source: OnnxSource) -> dict[str, bytes]:
    paths = [source.folder / name for name in TOKENIZER_FILES]
    return {path.name: path.read_bytes() for path in paths if path.is_file()}
