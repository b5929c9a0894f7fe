"""Names for people, of weights and nodes, from the names that exporters write into an ONNX file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

from onnx import GraphProto, NodeProto
from torch import fx

from tilewright.compiler.frontends.input_names import unique

MADE_UP = re.compile(
    r"(onnx::\w+|val_\d+|_v_\d+|\d+|const\w*\d*|initializer_?\d*|\w*Constant_\w*output\w*)(_\w*quant\w*)?"
)
"""Names that exporters make up for constants they computed, such as transposed weights."""
NODE_SCOPES = "pkg.torch.onnx.name_scopes"
ENDINGS = (
    ":0",
    "/ReadVariableOp",
    "/Read/ReadVariableOp",
    ".float",
    "_DequantizeLinear_Output",
    "_dequantized",
    "_quantized",
)
"""Endings that TensorFlow's and onnxruntime's tools give to names."""


RESERVED = {*dir(fx.GraphModule), "training"}
"""Words that a module uses itself, so that nothing in it can be called by them."""


LONGEST_SCOPES = 2**14
MOST_WORDS, LONGEST_PATH = 32, 320
"""Largest numbers of words and letters of a path, of which the last are kept: no module of a plan is deeper."""


def without_endings(name: str) -> str:
    """A name without the endings that tools give to it."""
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


def plain_path(name: str) -> str:
    """A name as words with dots between: ``/encoder/layer.0/query/MatMul`` -> ``encoder.layer.0.query.MatMul``."""
    name = without_endings(name)
    words = [re.sub(r"[^A-Za-z0-9_]", "_", word) for word in re.split(r"[./]", name) if word]
    words = [f"{word}_" if word in RESERVED else word for word in words if word.strip("_")]
    return ".".join(words[-MOST_WORDS:])[-LONGEST_PATH:].strip(".") or "tensor"


def module_path(node: NodeProto) -> str:
    """The module of the source model that a node belongs to; empty if nothing tells."""
    for entry in node.metadata_props:
        if entry.key == NODE_SCOPES:
            return _innermost_module(entry.value)
    *module, _operator = plain_path(node.name).split(".")
    return ".".join(module) if "/" in node.name else ""


def _innermost_module(scopes: str) -> str:
    """The last module among scopes, whose last is the node itself: ``['', 'bert', 'linear_3']`` -> ``bert``."""
    if len(scopes) > LONGEST_SCOPES:
        return ""
    try:
        found = ast.literal_eval(scopes)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return ""
    if not isinstance(found, list) or len(found) < 2 or not all(isinstance(scope, str) for scope in found):
        return ""
    return plain_path(found[-2]) if found[-2] else ""


def weight_names(graph: GraphProto, constants: Iterable[str]) -> dict[str, str]:
    """A dotted name of its own for each constant: the exporter's, or that of the module which uses it."""
    users: dict[str, tuple[NodeProto, int]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name not in users or not module_path(users[name][0]):
                users[name] = (node, place)
    wanted: dict[str, str] = {}
    for name in constants:
        node, place = users.get(name, (None, 0))
        module = module_path(node) if node is not None else ""
        if MADE_UP.fullmatch(without_endings(name)) is None or not module:
            wanted[name] = plain_path(name)
        else:
            wanted[name] = f"{module}.{'bias' if place == 2 else 'weight'}"
    return dict(zip(wanted, _apart(unique(wanted.values())), strict=True))


def _apart(paths: list[str]) -> list[str]:
    """Paths with an ending wherever one would be the beginning of another's: a tensor holds no tensors."""
    inner = {".".join(path.split(".")[:depth]) for path in paths for depth in range(1, path.count(".") + 1)}
    return unique(f"{path}.weight" if path in inner else path for path in paths)
