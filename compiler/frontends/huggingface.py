"""Frontend for HuggingFace models: a folder or hub name to a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.frontends.automatic_inputs import ModelInputs, calibration_set
from tilewright.compiler.frontends.exported import ExportedGraph, quiet_tracing
from tilewright.compiler.frontends.finite_weights import check_finite
from tilewright.compiler.frontends.huggingface_inputs import model_inputs
from tilewright.compiler.frontends.huggingface_model import (
    architecture_of,
    import_transformers,
    load_config,
    load_model,
    load_tokenizer,
    model_without_weights,
    sentence_folder,
    tokenizer_files,
)
from tilewright.compiler.frontends.identity import count_parameters, weights_sha256
from tilewright.compiler.frontends.sentence_modules import read_modules
from tilewright.compiler.frontends.settled_sizes import settle_sizes
from tilewright.compiler.frontends.tracing_errors import naming_the_module, tracing_error
from tilewright.compiler.frontends.without_weights import META, UNCALIBRATED, is_without_weights, speak_of_cpu, to_meta
from tilewright.compiler.network.traced import Inputs, Original, Traced
from tilewright.runtime.plan.records import ModelIdentity
from tilewright.targets.errors import InputError

DEFAULTS = {"attention_mask": "ones", "token_type_ids": "zeros"}
"""Values that transformers itself takes for inputs that are not given."""


def trace_huggingface(source: str | Path, calibration: Any = None, *, config_only: bool = False) -> Traced:
    """Load and export a model as its config names it, with its tokenizer if there is one.

    calibration: None for an automatic set, a list of texts, or a mapping of input arrays (samples first). config_only:
    trace a model without weights; ``source`` may be a config.json then.
    Raises ``InputError`` if there is no such model, or it cannot be traced.
    """
    transformers = import_transformers()
    config = load_config(transformers, source, config_only=config_only)
    architecture = architecture_of(transformers, source, config)
    folder = sentence_folder(source)
    if config_only:
        with META:
            behind = read_modules(folder, with_weights=False)
        model = model_without_weights(architecture, source, config)
        behind.attach(model)
        return _trace_config(model, source, behind.pooling)
    behind = read_modules(folder, with_weights=True)
    loaded = load_model(architecture, source, config)
    model = loaded.model
    behind.attach(model)
    check_finite(model)
    tokenizer = load_tokenizer(transformers, source)
    wanted = model_inputs(model, tokenizer)
    exported = _export(model, wanted)
    names = [record.name for record in exported.inputs]

    def in_order(inputs: Inputs) -> Inputs:
        return {name: inputs[name] for name in names}

    @torch.inference_mode()
    def original(inputs: Inputs) -> list[Tensor]:
        return exported.select_outputs(model(**inputs))

    examples = [in_order(inputs) for inputs in wanted.examples()]
    calibration_inputs, described = calibration_set(wanted, calibration)
    traced = _traced(
        exported,
        model,
        source,
        behind.pooling,
        examples=examples,
        expected=[original(inputs) for inputs in examples],
        original=Original(f"transformers {transformers.__version__}", original),
        calibration_inputs=[in_order(inputs) for inputs in calibration_inputs],
        calibration=described,
        tokenizer_files=tokenizer_files(tokenizer),
        unused_tensors=loaded.unused_tensors,
        notes=loaded.notes,
    )
    settle_sizes(traced, exported, original)
    return traced


def _trace_config(model: Any, source: str | Path, pooling: Any) -> Traced:
    """A traced model on the meta device: nothing of it is run."""
    exported = _export(model, model_inputs(model, None))
    speak_of_cpu(exported.graph.graph)
    nothing_run: dict[str, Any] = {"examples": [], "expected": [], "original": None, "calibration_inputs": []}
    traced = _traced(exported, model, source, pooling, calibration=UNCALIBRATED, has_weights=False, **nothing_run)
    settle_sizes(traced, exported, None)
    return traced


def _traced(exported: ExportedGraph, model: Any, source: str | Path, pooling: Any, **how: Any) -> Traced:
    """The record of a traced model. how: what was run of it."""
    return Traced(
        graph=exported.graph,
        model=_identity(model, source, pooling),
        inputs=exported.inputs,
        outputs=exported.outputs,
        dimensions={},
        parameters=dict(model.named_parameters()),
        **how,
    )


def _export(model: Any, wanted: ModelInputs) -> ExportedGraph:
    """The graph, traced at the first example; only sizes that may vary are left open."""
    from transformers.exporters import DynamoConfig, DynamoExporter
    from transformers.exporters.exporter_dynamo import get_auto_dynamic_shapes

    example = wanted.example(wanted.example_sizes[0], padded=False)
    if is_without_weights(model):
        example = to_meta(example)
    shapes = get_auto_dynamic_shapes(example)
    for spec in wanted.specs:
        if spec.name in shapes:
            may_vary = shapes[spec.name]
            shapes[spec.name] = {
                place: may_vary[place] for place, size in enumerate(spec.shape) if isinstance(size, str)
            }
    try:
        with quiet_tracing(), naming_the_module(model) as running:
            exported = DynamoExporter().export(model, example, config=DynamoConfig(dynamic=True, dynamic_shapes=shapes))
        graph = ExportedGraph(exported.program, as_traced=is_without_weights(model))
    except InputError:
        raise
    except Exception as error:  # whatever tracing meets in foreign code
        raise tracing_error(model, error, running) from error
    graph.inputs = [record.model_copy(update={"default": DEFAULTS.get(record.name)}) for record in graph.inputs]
    fixed = wanted.fixed_sizes(graph.inputs)
    if fixed:
        name = next(iter(fixed))
        raise InputError(
            f"{type(model).__name__} can be traced for one size of {name!r} alone: load it in Python and call "
            "tilewright.compile(model, example_inputs=...) with inputs of the size that you want"
        )
    return graph


def _identity(model: Any, source: str | Path, pooling: Any) -> ModelIdentity:
    folder = Path(source)
    return ModelIdentity(
        name=_name(folder, str(source)),
        architecture=type(model).__name__,
        source="huggingface",
        sha256=weights_sha256(model),
        parameters=count_parameters(model),
        pooling=pooling,
    )


def _name(path: Path, source: str) -> str:
    """Name of the model: its folder's, or that of the folder that a config lies in."""
    if path.is_file():
        return path.resolve().parent.name if path.stem == "config" else path.stem
    return path.resolve().name if path.is_dir() else source
