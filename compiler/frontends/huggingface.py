"""Frontend for HuggingFace models: a folder or hub name to a graph."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.frontends.automatic_inputs import ModelInputs, calibration_set
from tilewright.compiler.frontends.exported import ExportedGraph, quiet_tracing
from tilewright.compiler.frontends.finite_weights import check_finite
from tilewright.compiler.frontends.generation_files import generation_files
from tilewright.compiler.frontends.huggingface_inputs import model_inputs
from tilewright.compiler.frontends.huggingface_model import (
    architecture_of,
    image_processor_files,
    import_transformers,
    load_config,
    load_model,
    load_tokenizer,
    model_without_weights,
    sentence_folder,
    tokenizer_files,
)
from tilewright.compiler.frontends.identity import identity_of
from tilewright.compiler.frontends.parts_whole import parts_whole
from tilewright.compiler.frontends.sentence_modules import read_modules
from tilewright.compiler.frontends.settled_sizes import settled
from tilewright.compiler.frontends.tracing_errors import naming_the_module, tracing_error
from tilewright.compiler.frontends.without_weights import META, beside
from tilewright.compiler.network.traced import Inputs, Original, Traced
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
    with META if config_only else nullcontext():
        behind = read_modules(sentence_folder(source), with_weights=not config_only)
    load = model_without_weights if config_only else load_model
    loaded = load(architecture, source, config)
    model = loaded.model
    behind.attach(model)
    check_finite(model)
    tokenizer = None if config_only else load_tokenizer(transformers, source)
    wanted = model_inputs(model, tokenizer)
    exported = _export(model, wanted)
    takes_images = "pixel_values" in wanted.names and not config_only
    known: dict[str, Any] = {
        "model": identity_of(
            model, "huggingface", _name(Path(source)), classes=_classes(model.config), pooling=behind.pooling
        ),
        "parameters": dict(model.named_parameters()),
        "tokenizer_files": {
            **tokenizer_files(tokenizer, wanted.limits.get("sequence")),
            **(image_processor_files(source) if takes_images else {}),
            **({} if config_only else generation_files(model)),
        },
        "unused_tensors": loaded.unused_tensors,
        "notes": loaded.notes,
        "trained": loaded.trained,
        "trained_products": loaded.products,
        "most": wanted.most,
    }
    if config_only:
        return settled(exported, original=None, **known)

    def in_order(inputs: Inputs) -> Inputs:
        return {record.name: inputs[record.name] for record in exported.inputs}

    @torch.inference_mode()
    def original(inputs: Inputs) -> list[Tensor]:
        return exported.select_outputs(model(**inputs))

    examples = [(inputs, original(inputs)) for inputs in map(in_order, wanted.examples())]
    samples, described = calibration_set(wanted, calibration)
    known["original"] = Original(f"transformers {transformers.__version__}", original)
    return settled(exported, original, examples, list(map(in_order, samples)), described, **known)


def _export(model: Any, wanted: ModelInputs) -> ExportedGraph:
    """The graph, traced at the first example; only sizes that may vary are left open."""
    from transformers.exporters import DynamoConfig, DynamoExporter
    from transformers.exporters.exporter_dynamo import get_auto_dynamic_shapes

    example = beside(model, wanted.example(wanted.example_sizes[0], padded=False))
    shapes = get_auto_dynamic_shapes(example)
    for spec in wanted.specs:
        if spec.name in shapes:
            may_vary = shapes[spec.name]
            shapes[spec.name] = {
                place: may_vary[place] for place, size in enumerate(spec.shape) if isinstance(size, str)
            }
    try:
        with quiet_tracing(), parts_whole(), naming_the_module(model) as running:
            exported = DynamoExporter().export(model, example, config=DynamoConfig(dynamic=True, dynamic_shapes=shapes))
        graph = ExportedGraph(exported.program, defaults=DEFAULTS)
    except InputError:
        raise
    except Exception as error:  # whatever tracing meets in foreign code
        raise tracing_error(model, error, running) from error
    fixed = wanted.fixed_sizes(graph.inputs)
    if fixed:
        name = next(iter(fixed))
        raise InputError(
            f"{type(model).__name__} can be traced for one size of {name!r} alone: load it in Python and call "
            "tilewright.compile(model, example_inputs=...) with inputs of the size that you want"
        )
    return graph


def _classes(config: Any) -> list[str] | None:
    """Names of a classifier's classes; None where the config has none but the numbered ones that it makes up."""
    names = getattr(config, "id2label", None) or {}
    found = [str(names[number]) for number in sorted(names)] if sorted(names) == list(range(len(names))) else []
    is_classifier = any("Classification" in name for name in getattr(config, "architectures", None) or ())
    if not found or not is_classifier or all(name == f"LABEL_{number}" for number, name in enumerate(found)):
        return None
    return found


def _name(path: Path) -> str:
    """Name of the model: its folder's, or that of the folder that a config lies in."""
    if path.is_file():
        return path.resolve().parent.name if path.stem == "config" else path.stem
    return path.resolve().name if path.is_dir() else str(path)
