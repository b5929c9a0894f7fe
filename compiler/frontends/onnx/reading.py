"""Reading of a file, or a ModelProto, as a graph that was checked and holds no functions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, ValueInfoProto, inliner, version_converter

from tilewright.compiler.frontends.foreign_errors import first_line, refusing
from tilewright.compiler.frontends.onnx.constants import unread
from tilewright.compiler.frontends.onnx.dequantise import QUANTISED, dequantised
from tilewright.compiler.frontends.onnx.limits import check_limits
from tilewright.compiler.frontends.onnx.network import CONTROL, PLAIN_DOMAINS, unsupported
from tilewright.compiler.frontends.onnx.operators import OPERATORS
from tilewright.runtime.plan.records import UnusedTensor
from tilewright.targets.errors import InputError

OLDEST_OPSET = 11
"""Models of older opsets are converted to this one first."""
LARGEST_FILE = 2**31 - 1
"""Largest number of bytes of one protobuf message; larger models keep their weights beside it."""


@dataclass
class OnnxSource:
    """An ONNX model as it was read, and as it is compiled."""

    name: str
    folder: Path
    """Folder of the external data."""
    file: Path | None
    model: ModelProto
    notes: list[str]
    was_quantised: bool = False
    unused_tensors: list[UnusedTensor] = field(default_factory=list)
    """Tensors that nothing in the model reads."""

    def dequantise(self) -> None:
        """Replace the model by one in full precision, and note it."""
        self.model, note = dequantised(self.model, str(self.folder))
        self.notes.append(note)
        self.was_quantised = True


def read_model(source: str | Path | ModelProto) -> OnnxSource:
    """Read and check a model. Raises ``InputError`` with what is wrong."""
    if isinstance(source, ModelProto):
        found = OnnxSource(source.graph.name or "model", Path(), None, source, [])
    else:
        path = Path(source)
        found = OnnxSource(path.stem, path.parent, path, _parse(path), [])
    label = f"ONNX model {str(source)!r}" if found.file else f"ONNX model {found.name!r}"
    _check_form(found, label)
    check_limits(found.model, found.folder, label, has_file=found.file is not None)
    _check_names(found.model)
    with refusing(f"{label} cannot be checked"):
        try:
            onnx.checker.check_model(_checkable(found))
        except onnx.checker.ValidationError as error:
            raise InputError(f"{label} is not valid: {first_line(error)}") from error
    found.model = _inlined(_recent(found, label), label)
    found.unused_tensors = unread(found.model.graph)
    return found


def _parse(path: Path) -> ModelProto:
    if not path.is_file():
        raise InputError(f"there is no ONNX file {str(path)!r}")
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path} is {path.stat().st_size} bytes, an ONNX file may have {LARGEST_FILE}")
    try:
        return onnx.load(str(path), format="protobuf", load_external_data=False)
    except DecodeError as error:
        raise InputError(f"{path} is not an ONNX model, or it is cut off: {first_line(error)}") from error


def _checkable(found: OnnxSource) -> ModelProto | str:
    """Model for ONNX's checker: the path of one with external data, which are found beside it."""
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in found.model.graph.initializer):
        return str(found.file)
    if all(_has_shape(output) for output in found.model.graph.output):
        return found.model
    shaped = ModelProto()  # the checker wants outputs to have a shape; nobody else does
    shaped.CopyFrom(found.model)
    for output in shaped.graph.output:
        if not _has_shape(output):
            output.type.tensor_type.shape.SetInParent()
    return shaped


def _has_shape(value: ValueInfoProto) -> bool:
    is_tensor = value.type.WhichOneof("value") == "tensor_type"
    return not is_tensor or bool(value.type.tensor_type.HasField("shape"))


def _check_form(found: OnnxSource, label: str) -> None:
    model = found.model
    if not model.graph.node and not model.graph.output:
        raise InputError(f"{label} holds no graph")
    versions = [entry.version for entry in model.opset_import if entry.domain in PLAIN_DOMAINS]
    newest = onnx.defs.onnx_opset_version()
    if len(versions) != 1:
        raise InputError(f"{label} names {len(versions)} opsets of ONNX's own operators; it must name one")
    if not 1 <= versions[0] <= newest:
        raise InputError(f"{label} has opset {versions[0]}; {OLDEST_OPSET} to {newest} are supported")
    if not model.graph.output:
        raise InputError(f"{label} has no output")


def _check_names(model: ModelProto) -> None:
    """Raise ``InputError`` for an operator that ONNX itself does not have, before its checker does without help."""
    functions = {(function.domain, function.name) for function in model.functions}
    for node in model.graph.node:
        known = (node.domain, node.op_type) in functions or node.op_type in (*OPERATORS, *CONTROL, *QUANTISED)
        if not known and not onnx.defs.has(node.op_type, node.domain):
            raise unsupported(node)


def _recent(found: OnnxSource, label: str) -> ModelProto:
    """The model in an opset that the operators are written for."""
    version = next(entry.version for entry in found.model.opset_import if entry.domain in PLAIN_DOMAINS)
    if version >= OLDEST_OPSET:
        return found.model
    with refusing(f"{label} has opset {version}, which cannot be converted"):
        converted = version_converter.convert_version(found.model, OLDEST_OPSET)
    found.notes.append(f"converted from opset {version} to {OLDEST_OPSET}")
    return converted


def _inlined(model: ModelProto, label: str) -> ModelProto:
    """The model without functions: its own, and those of ONNX that are defined by other operators."""
    with refusing(f"the functions of {label} cannot be inlined"):
        if model.functions:
            model = inliner.inline_local_functions(model)
        unknown = {
            (node.domain, node.op_type)
            for node in model.graph.node
            if node.domain in PLAIN_DOMAINS and node.op_type not in (*OPERATORS, *CONTROL, *QUANTISED)
        }
        if unknown:
            model = inliner.inline_selected_functions(model, sorted(unknown), inline_schema_functions=True)
    return model
