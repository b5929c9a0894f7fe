"""Conversion of a torch.export program to the graph that the passes take."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from tilewright.compiler.frontends.complex_numbers import as_pairs
from tilewright.compiler.frontends.decompositions import DECOMPOSITIONS
from tilewright.compiler.frontends.loops import put_loops
from tilewright.compiler.frontends.recurrent import recurrent_layers_whole
from tilewright.compiler.frontends.sample_dimension import sample_dimension
from tilewright.compiler.frontends.taking_apart import NotTakenApartError, take_apart, take_parts
from tilewright.compiler.frontends.traced_sizes import TracedSizes
from tilewright.runtime.plan.names import LOOP_PREFIX
from tilewright.runtime.plan.records import BATCH, InputRecord, OutputRecord
from tilewright.runtime.plan.types import DTYPES
from tilewright.runtime.storage.weights_file import dtype_name
from tilewright.targets.errors import InputError, nearest

DIMENSION_NAMES = ("batch", "sequence")
aten = torch.ops.aten
PRODUCTS = {
    aten.linear.default, aten.matmul.default, aten.mm.default, aten.addmm.default, aten.bmm.default, aten.mv.default,
    aten.baddbmm.default, aten.conv1d.default, aten.conv2d.default, aten.conv3d.default, aten.convolution.default,
}  # fmt: skip


@contextmanager
def quiet_tracing() -> Iterator[None]:
    """Silence torch.export's own warnings, logs and (of a failure) words on standard error.

    The exception that it raises tells the failure.
    """
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(level)


class ExportedGraph:
    """The graph of an exported program: flat inputs and outputs, weights as attributes, nothing written in place.

    Outputs are the model's tensors; constants and sizes among them are left out.
    """

    def __init__(
        self,
        program: ExportedProgram,
        own_names: Mapping[str, str] | None = None,
        *,
        defaults: Mapping[str, Any] | None = None,
        example: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Make the graph of a program.

        own_names: the model's own names of the inputs, in order, by the names that they get, where the traced
        function's parameters have others. defaults: values of inputs that need not be given, by name. example: inputs
        that tell which size counts samples; the first dimension does without one.
        """
        with quiet_tracing():
            module = _in_plain_operators(program)
        placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
        for node, name in zip(placeholders, own_names or {}, strict=own_names is not None):
            node.target = name
        self.graph = fx.GraphModule(module, module.graph)  # the same without torch.export's input hooks
        self.graph.graph.set_codegen(fx.graph.CodeGen())  # positional tensors in, flat list out
        self._keep_tensor_outputs()
        self.graph.recompile()
        placeholders = [node for node in self.graph.graph.nodes if node.op == "placeholder"]
        self._symbols = self._name_symbols(placeholders)
        self._describe(program, placeholders, own_names or {}, defaults or {})
        if example is not None and BATCH in self._symbols.values():
            samples = sample_dimension(self.graph, self.inputs, self.outputs, example, *self._sizes_of_loops())
            if samples != BATCH:
                self._name_samples(samples)
                self._describe(program, placeholders, own_names or {}, defaults or {})
        self.sizes = TracedSizes(map(_tensor_of, placeholders), self._symbols)

    def _sizes_of_loops(self) -> tuple[list[str], list[str]]:
        """Names of sizes that count steps of loops, and of those that count what loops do side by side."""
        calls = [node for node in self.graph.graph.nodes if str(node.target).startswith(LOOP_PREFIX)]
        found: tuple[list[str], list[str]] = [], []
        for node in calls:
            states, sequences, _ = node.args
            for names, one in zip(found, (sequences[0], states[0]), strict=True):
                names += [self._symbols[text] for text in [str(one.meta["val"].shape[0])] if text in self._symbols]
        return found

    def _name_samples(self, name: str | None) -> None:
        """Call the size of that name "batch", and the one that was called so otherwise."""
        free = next(one for one in (name, "sequence", "size_0") if one is not None and (
            one == name or one not in self._symbols.values()))  # fmt: skip
        swapped = {BATCH: free} | ({name: BATCH} if name is not None else {})
        self._symbols = {symbol: swapped.get(one, one) for symbol, one in self._symbols.items()}

    def _describe(
        self, program: ExportedProgram, placeholders: list[fx.Node], names: Mapping[str, str],
        defaults: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Make the records of inputs and outputs."""
        self.inputs = [
            InputRecord(
                name=name,
                dtype=_type_of(_tensor_of(node), node.name),
                shape=self._shape(_tensor_of(node)),
                default=defaults.get(name),
                source_name=own if (own := names.get(name)) != name else None,
            )
            for name, node in ((str(node.target), node) for node in placeholders)
        ]
        self.outputs = self._outputs(program)

    def _keep_tensor_outputs(self) -> None:
        output = next(iter(reversed(self.graph.graph.nodes)))
        results = output.args[0]
        results = results if isinstance(results, list | tuple) else [results]
        self._kept = [
            place
            for place, result in enumerate(results)
            if isinstance(result, fx.Node) and isinstance(result.meta.get("val"), Tensor)
        ]
        output.args = ([results[place] for place in self._kept],)

    def _name_symbols(self, placeholders: list[fx.Node]) -> dict[str, str]:
        """Names for people by symbol: batch, sequence, size_2, ...

        Sizes of several inputs at one place that were equal in the example are one size: the batch of the token ids
        is the batch of their mask, though broadcasting would let torch.export keep them apart.
        """
        names: dict[str, str] = {}
        alike: dict[tuple[int, int], str] = {}
        for node in placeholders:
            sizes: list[Any] = list(_tensor_of(node).shape)
            for place, size in enumerate(sizes):
                if fixed_size(size) is not None or str(size) in names:
                    continue
                wanted = DIMENSION_NAMES[place] if place < len(DIMENSION_NAMES) else f"size_{place}"
                if wanted in names.values() and wanted == "sequence" and str(node.target).endswith("_input_ids"):
                    wanted = f"{str(node.target).removesuffix('_input_ids')}_sequence"
                if wanted in names.values():
                    wanted = f"size_{len(names)}"
                names[str(size)] = alike.setdefault((place, size.node.hint), wanted)
        return names

    def _shape(self, tensor: Tensor) -> list[int | str]:
        fixed = [fixed_size(size) for size in tensor.shape]
        named = [self._symbols.get(str(size), str(size)) for size in tensor.shape]
        return [name if size is None else size for size, name in zip(fixed, named, strict=True)]

    def _outputs(self, program: ExportedProgram) -> list[OutputRecord]:
        output = next(iter(reversed(self.graph.graph.nodes)))
        nodes = output.args[0]
        names = output_names(program.call_spec.out_spec)
        return [
            OutputRecord(name=names[place], dtype=_type_of(value, names[place]), shape=self._shape(value))
            for place, value in zip(self._kept, map(_tensor_of, nodes), strict=True)
        ]

    def select_outputs(self, structure: Any) -> list[Tensor]:
        """The model's own outputs as the graph gives them: flat, and only tensors."""
        leaves = pytree.tree_leaves(structure)
        return [leaves[place] for place in self._kept]


def _in_plain_operators(program: ExportedProgram) -> fx.GraphModule:
    """The graph of a program with nothing written in place, and with what a plan has no operator for taken apart."""
    module: fx.GraphModule = program.module(check_guards=False)
    try:
        take_apart(module.graph)
    except NotTakenApartError:
        with recurrent_layers_whole():
            module = program.run_decompositions(DECOMPOSITIONS).module(check_guards=False)
        take_parts(module.graph)
    as_pairs(module.graph)
    put_loops(module)
    return module


def check_number_formats(graph: fx.Graph) -> None:
    """Raise ``InputError`` for a product of activations that is computed in anything but float32."""
    varies: set[fx.Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or not varies.isdisjoint(node.all_input_nodes):
            varies.add(node)
        value = node.meta.get("val")
        if node.target not in PRODUCTS or node not in varies or not isinstance(value, Tensor):
            continue
        if value.is_floating_point() and value.dtype != torch.float32:
            stack = list(node.meta.get("nn_module_stack", {}).values())
            where = f" in module {stack[-1][0]!r}" if stack and stack[-1][0] else ""
            raise InputError(
                f"a product{where} is computed in {dtype_name(value.dtype)} (node {node.name}); plans compute in "
                "float32: take the change of type out of forward"
            )


def fixed_size(size: int | torch.SymInt) -> int | None:
    """A size as a number, if tracing found that it cannot vary; else None."""
    return size if isinstance(size, int) else size.node.maybe_as_int()


def output_names(spec: pytree.TreeSpec) -> list[str]:
    """Names of the model's outputs, one a leaf: its own keys, or output, output_0, output_1 where it has none."""
    structure = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    paths, _ = pytree.tree_flatten_with_path(structure)
    names = []
    for path, _leaf in paths:
        words = [str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path]
        if not words:
            words = ["output"]
        elif words[0].isdigit():
            words = [f"output_{words[0]}", *words[1:]]
        names.append(".".join(words))
    return names


def _tensor_of(node: fx.Node) -> Tensor:
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        raise InputError(
            f"input {node.name!r} of the model is not a tensor; wrap the model so that it takes tensors only"
        )
    return value


def _type_of(tensor: Tensor, name: str) -> str:
    dtype = dtype_name(tensor.dtype)
    if dtype not in DTYPES:
        raise InputError(f"{name!r} of the model is {dtype}; {nearest(dtype, DTYPES)}")
    return dtype


def torch_dynamic_shapes(examples: dict[str, Tensor]) -> dict[str, dict[int, Any]]:
    """Dynamic shapes for torch.export by which every dimension may vary, as far as the model lets it."""
    return {name: dict.fromkeys(range(value.dim()), torch.export.Dim.AUTO) for name, value in examples.items()}
