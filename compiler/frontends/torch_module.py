"""Any torch.nn.Module with example inputs."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tilewright.compiler.compilation import Inputs, Original, Traced
from tilewright.compiler.frontends.automatic_inputs import split_samples
from tilewright.compiler.frontends.exported import ExportedGraph, quiet_tracing, torch_dynamic_shapes
from tilewright.compiler.frontends.identity import count_parameters, weights_sha256
from tilewright.compiler.frontends.settled_sizes import settle_sizes
from tilewright.compiler.frontends.tracing_errors import naming_the_module, tracing_error
from tilewright.compiler.frontends.without_weights import UNCALIBRATED, is_without_weights, speak_of_cpu, to_meta
from tilewright.runtime.plan import Calibration, ModelIdentity
from tilewright.runtime.weights_file import dtype_name
from tilewright.targets.errors import InputError

ExampleInputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


def trace_module(
    module: nn.Module,
    example_inputs: ExampleInputs | None,
    *,
    calibration: Any = None,
    name: str | None = None,
    dynamic_shapes: Any = None,
    as_pair: bool = True,
) -> Traced:
    """Export a module. ``example_inputs`` is one tensor, several in the order of ``forward``, or a mapping by name.

    Sizes may vary wherever the model lets them (``dynamic_shapes`` is handed to torch.export if you know better). The
    module is used in eval mode and left as it was; one on the meta device is traced without weights. as_pair: trace a
    batch of one as a batch of two, so that the batch may vary. Raises ``InputError`` with torch.export's reason if it
    cannot be traced.
    """
    if example_inputs is None:
        raise InputError(f"compiling a {type(module).__name__} needs example_inputs: tensors such as it is called with")
    _check_precision(module)
    inputs = name_inputs(module, example_inputs)
    if is_without_weights(module):
        inputs = to_meta(inputs)
    with in_eval_mode(module):
        exported = _export(module, inputs, dynamic_shapes, as_pair=as_pair)

    @torch.inference_mode()
    def original(given: Inputs) -> list[Tensor]:
        with in_eval_mode(module):
            return exported.select_outputs(module(**{key: value.clone() for key, value in given.items()}))

    has_weights = not is_without_weights(module)
    if has_weights:
        calibration_inputs, described = _calibration_set(inputs, calibration)
    else:
        speak_of_cpu(exported.graph.graph)
        calibration_inputs, described = [], UNCALIBRATED
    shown = name or type(module).__name__
    traced = Traced(
        graph=exported.graph,
        model=ModelIdentity(
            name=shown,
            architecture=type(module).__name__,
            source="torch",
            sha256=weights_sha256(module),
            parameters=count_parameters(module),
            pooling=None,
        ),
        inputs=exported.inputs,
        outputs=exported.outputs,
        dimensions={},
        examples=[inputs] if has_weights else [],
        expected=[original(inputs)] if has_weights else [],
        original=Original(f"torch {torch.__version__}", original) if has_weights else None,
        calibration_inputs=calibration_inputs,
        calibration=described,
        parameters=dict(module.named_parameters()),
        has_weights=has_weights,
    )
    settle_sizes(traced, exported, original if has_weights else None)
    if has_weights and not traced.examples:  # the model treats a batch of one apart from a batch of two
        how = {"calibration": calibration, "name": name, "dynamic_shapes": dynamic_shapes}
        return trace_module(module, example_inputs, **how, as_pair=False)
    return traced


@contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Without dropout and with stored statistics; every module is left as it was."""
    was_training = {child: child.training for child in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for child, training in was_training.items():
            child.training = training


def _check_precision(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            raise InputError(
                f"parameter {name!r} is {dtype_name(parameter.dtype)}; plans compute in float32: pass "
                "model.float() and float32 example inputs"
            )


def _calibration_set(inputs: Inputs, given: Any) -> tuple[list[Inputs], Calibration]:
    if given is None:
        samples = next(iter(inputs.values())).shape[0] if inputs else 1
        return [inputs], Calibration(source="automatic: the example inputs", samples=samples, automatic=True)
    if not isinstance(given, Mapping):
        raise InputError(f"calibration is a {type(given).__name__}; for a module it must be a mapping of input arrays")
    samples_given = split_samples(given, list(inputs))
    return samples_given, Calibration(source="given arrays", samples=len(samples_given), automatic=False)


def name_inputs(module: nn.Module, example_inputs: ExampleInputs) -> Inputs:
    """Example inputs by the names of ``forward``'s parameters."""
    if isinstance(example_inputs, Mapping):
        return dict(example_inputs)
    given = [example_inputs] if isinstance(example_inputs, Tensor) else list(example_inputs)
    names = [
        key for key, p in inspect.signature(module.forward).parameters.items() if p.kind == p.POSITIONAL_OR_KEYWORD
    ]
    if len(given) > len(names):
        raise InputError(f"{type(module).__name__} takes {len(names)} inputs, example_inputs has {len(given)}")
    for value in given:
        if not isinstance(value, Tensor):
            raise InputError(f"example_inputs holds a {type(value).__name__}; it must hold tensors")
    return dict(zip(names, given, strict=False))


def _export(module: nn.Module, inputs: Inputs, dynamic_shapes: Any, *, as_pair: bool) -> ExportedGraph:
    sizes = torch_dynamic_shapes(inputs) if dynamic_shapes is None else dynamic_shapes
    # torch.export takes a size of 1 for fixed: trace a batch of one as a batch of two
    single = all(value.dim() and value.shape[0] == 1 for value in inputs.values())
    pairs = {key: torch.cat([value, value]) for key, value in inputs.items()} if single else {}
    attempts = [pairs] if single and as_pair and dynamic_shapes is None else []
    failure: InputError | None = None
    for attempt in [*attempts, inputs]:
        try:
            with torch.no_grad(), quiet_tracing(), naming_the_module(module) as running:
                program = torch.export.export(module, (), copy.deepcopy(attempt), dynamic_shapes=sizes, strict=False)
            return ExportedGraph(program)
        except InputError:
            raise
        except Exception as error:  # torch.export raises many types, none of them its own
            failure = tracing_error(module, error, running)
            failure.__cause__ = error
    assert failure is not None
    raise failure
