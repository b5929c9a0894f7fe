"""Frontend for any torch.nn.Module with example inputs."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.parameter import is_lazy

from tilewright.compiler.frontends.automatic_inputs import split_samples
from tilewright.compiler.frontends.caches import without_caches
from tilewright.compiler.frontends.exported import (
    ExportedGraph,
    check_number_formats,
    quiet_tracing,
    torch_dynamic_shapes,
)
from tilewright.compiler.frontends.finite_weights import check_finite
from tilewright.compiler.frontends.forward_call import ExampleInputs, ForwardCall, forward_call
from tilewright.compiler.frontends.generation_files import generation_files
from tilewright.compiler.frontends.identity import identity_of
from tilewright.compiler.frontends.input_names import by_plain_names
from tilewright.compiler.frontends.parts_whole import parts_whole
from tilewright.compiler.frontends.plain_layers import computing_plainly
from tilewright.compiler.frontends.settled_sizes import settled
from tilewright.compiler.frontends.tracing_errors import naming_the_module, tracing_error
from tilewright.compiler.frontends.unwrapping import in_float32, looked_into, unwrapped
from tilewright.compiler.frontends.without_weights import beside, is_without_weights
from tilewright.compiler.network.restorable import plain_copy, trained_tensors
from tilewright.compiler.network.traced import Inputs, Original, Traced
from tilewright.compiler.network.trained_layers import trained_layers_of
from tilewright.compiler.network.trained_products import trained_products
from tilewright.runtime.plan.records import Calibration
from tilewright.runtime.storage.weights_file import dtype_name
from tilewright.targets.errors import InputError

LONGEST_NAME = 400
"""Largest number of letters of a parameter's path: a layer of the plan is called after it."""


def trace_module(
    module: nn.Module | ExportedProgram,
    example_inputs: ExampleInputs | None,
    *,
    calibration: Any = None,
    name: str | None = None,
    dynamic_shapes: Any = None,
) -> Traced:
    """Export a module. ``example_inputs`` is one tensor, several in the order of ``forward``, or a mapping by name.

    Sizes may vary wherever the model lets them (``dynamic_shapes`` is handed to torch.export if you know better). The
    module is used in eval mode, in float32 and without torch.compile, and left as it was; what wraps it is looked into.
    One on the meta device is traced without weights. Raises ``InputError`` with torch.export's reason if it cannot be
    traced.
    """
    if isinstance(module, ExportedProgram):
        example_inputs = _examples_of(module) if example_inputs is None else example_inputs
        module = module.module()
    module, notes = unwrapped(module)
    trained = trained_tensors(module)
    module = plain_copy(module)
    if example_inputs is None:
        raise InputError(f"compiling a {type(module).__name__} needs example_inputs: tensors such as it is called with")
    with looked_into(module), computing_plainly(module) as changes:
        return _trace(module, example_inputs, calibration, name, dynamic_shapes, [*notes, *changes], trained)


def _trace(
    module: nn.Module,
    example_inputs: ExampleInputs,
    calibration: Any,
    name: str | None,
    dynamic_shapes: Any,
    notes: Sequence[str],
    trained: Mapping[str, Tensor],
    *,
    as_pair: bool = True,
) -> Traced:
    """Trace a module that was looked into.

    trained: what a training for a chip left beside its parameters. as_pair: a batch of one is
    traced as two, so that the batch may vary.
    """
    _check_parameters(module)
    check_finite(module)
    call, inputs = forward_call(module, example_inputs)
    inputs = beside(module, inputs)
    with in_eval_mode(module), without_caches(module), in_float32() as asked:
        exported = _export(module, call, inputs, dynamic_shapes, as_pair=as_pair)
    autocast = [f"the model asks for {asked[0]} by autocast; the plan computes in float32"] if asked else []
    if not exported.outputs:
        raise InputError(f"forward of {type(module).__name__} gives no tensor: let it return what is to be computed")
    check_number_formats(exported.graph.graph)

    @torch.inference_mode()
    def original(given: Inputs) -> list[Tensor]:
        positional, named = call.arguments([value.clone() for value in given.values()])
        with in_eval_mode(module), without_caches(module), in_float32(), computing_plainly(module):
            return exported.select_outputs(module(*positional, **named))

    known: dict[str, Any] = {
        "model": identity_of(module, "torch", name or type(module).__name__),
        "parameters": dict(module.named_parameters()),
        "tokenizer_files": {} if is_without_weights(module) else generation_files(module),
        "trained": trained_layers_of(module, trained or None),
        "trained_products": trained_products(trained),
        "notes": [*notes, *autocast],
    }
    if is_without_weights(module):
        return settled(exported, original=None, **known)
    samples = _calibration_set(inputs, call, calibration)
    known["original"] = Original(f"torch {torch.__version__}", original)
    traced = settled(exported, original, [(inputs, original(inputs))], *samples, **known)
    if not traced.examples:  # the model treats a batch of one apart from a batch of two
        return _trace(module, example_inputs, calibration, name, dynamic_shapes, notes, trained, as_pair=False)
    return traced


def _examples_of(program: ExportedProgram) -> ExampleInputs | None:
    """The inputs that a program was exported with, if it kept them."""
    if program.example_inputs is None:
        return None
    positional, named = program.example_inputs
    return {**dict(zip(inspect.signature(program.module().forward).parameters, positional, strict=False)), **named}


@contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Run a module without dropout and with stored statistics; every part of it is left as it was."""
    was_training = {child: child.training for child in module.modules()}
    with suppress(NotImplementedError):  # exported programs are in one mode for good
        module.eval()
    try:
        yield
    finally:
        for child, training in was_training.items():
            child.training = training


def _check_parameters(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if len(name) > LONGEST_NAME:
            raise InputError(
                f"parameter {name[:80]!r}... has a name of {len(name)} letters; allowed are {LONGEST_NAME}"
            )
        if is_lazy(parameter):
            raise InputError(
                f"parameter {name!r} has no size yet: call the model once with an example before compiling"
            )
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            raise InputError(
                f"parameter {name!r} is {dtype_name(parameter.dtype)}; plans compute in float32: pass "
                "model.float() and float32 example inputs"
            )
        if parameter.device.type not in ("cpu", "meta"):
            raise InputError(f"parameter {name!r} is on {parameter.device}; pass model.cpu() and examples there")


def _calibration_set(inputs: Inputs, call: ForwardCall, given: Any) -> tuple[list[Inputs], Calibration]:
    if given is None:
        first = next(iter(inputs.values()), None)
        samples = first.shape[0] if first is not None and first.dim() else 1
        return [inputs], Calibration(source="automatic: the example inputs", samples=samples, automatic=True)
    if not isinstance(given, Mapping):
        raise InputError(f"calibration is a {type(given).__name__}; for a module it must be a mapping of input arrays")
    samples_given = split_samples(by_plain_names(given, call.own_names), list(inputs))
    return samples_given, Calibration(source="given arrays", samples=len(samples_given), automatic=False)


def _export(
    module: nn.Module, call: ForwardCall, inputs: Inputs, dynamic_shapes: Any, *, as_pair: bool
) -> ExportedGraph:
    sizes = torch_dynamic_shapes(inputs) if dynamic_shapes is None else dynamic_shapes
    sizes = by_plain_names(sizes, call.own_names) if isinstance(sizes, Mapping) else sizes
    # torch.export takes a size of 1 for fixed: trace a batch of one as a batch of two
    single = all(value.dim() and value.shape[0] == 1 for value in inputs.values())
    pairs = {key: torch.cat([value, value]) for key, value in inputs.items()} if single else {}
    attempts = [pairs] if single and as_pair and dynamic_shapes is None else []
    failure: InputError | None = None
    for attempt in [*attempts, inputs]:
        try:
            values = tuple(copy.deepcopy(attempt).values())
            with (
                torch.no_grad(), quiet_tracing(), parts_whole(), call.flat(module),
                naming_the_module(module) as running,
            ):  # fmt: skip
                program = torch.export.export(module, values, dynamic_shapes=sizes, strict=False)
            example = None if is_without_weights(module) else attempt
            return ExportedGraph(program, call.own_names, example=example)
        except InputError:
            raise
        except Exception as error:  # noqa: BLE001 (torch.export raises many types, none of them its own)
            failure = tracing_error(module, error, running)
            failure.__cause__ = error
    assert failure is not None
    raise failure
