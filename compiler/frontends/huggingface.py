"""A HuggingFace folder or hub name."""

from __future__ import annotations

import importlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.compilation import Inputs, Original, Traced
from tilewright.compiler.frontends.automatic_inputs import ModelInputs, calibration_set
from tilewright.compiler.frontends.exported import ExportedGraph, quiet_tracing
from tilewright.compiler.frontends.huggingface_inputs import model_inputs
from tilewright.compiler.frontends.identity import count_parameters, weights_sha256
from tilewright.compiler.frontends.stored_weights import stored_weights
from tilewright.compiler.frontends.tracing_errors import naming_the_module, tracing_error
from tilewright.compiler.frontends.without_weights import META, UNCALIBRATED, is_without_weights, speak_of_cpu, to_meta
from tilewright.runtime.memory_map import used
from tilewright.runtime.plan import ModelIdentity
from tilewright.targets.errors import InputError

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
DEFAULTS = {"attention_mask": "ones", "token_type_ids": "zeros"}
"""What transformers itself takes for an input that is not given."""
LARGEST_TOKENIZER_FILE = 2**28  # bytes


def trace_huggingface(source: str | Path, calibration: Any = None, *, config_only: bool = False) -> Traced:
    """Load and export a model as its config names it, with its tokenizer if there is one.

    calibration: None for an automatic set, a list of texts, or a mapping of input arrays (samples first). config_only:
    trace a model without weights; ``source`` may be a config.json then.
    Raises ``InputError`` if there is no such model, or it cannot be traced.
    """
    transformers = _transformers()
    config = _load_config(transformers, source, config_only)
    architecture = _architecture(transformers, source, config)
    if config_only:
        return _trace_config(_without_weights(architecture, source, config), source)
    model = _load_model(architecture, source, config)
    tokenizer = _load_tokenizer(transformers, source)
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
    return _traced(
        exported,
        model,
        source,
        examples=examples,
        expected=[original(inputs) for inputs in examples],
        original=Original(f"transformers {transformers.__version__}", original),
        calibration_inputs=[in_order(inputs) for inputs in calibration_inputs],
        calibration=described,
        tokenizer_files=_tokenizer_files(tokenizer),
    )


def _trace_config(model: Any, source: str | Path) -> Traced:
    """A model on the meta device: nothing of it is run."""
    exported = _export(model, model_inputs(model, None))
    speak_of_cpu(exported.graph.graph)
    nothing_run: dict[str, Any] = {"examples": [], "expected": [], "original": None, "calibration_inputs": []}
    return _traced(exported, model, source, calibration=UNCALIBRATED, has_weights=False, **nothing_run)


def _traced(exported: ExportedGraph, model: Any, source: str | Path, **how: Any) -> Traced:
    """What is known of a traced model. how: what was run of it."""
    return Traced(
        graph=exported.graph,
        model=_identity(model, source),
        inputs=exported.inputs,
        outputs=exported.outputs,
        dimensions=exported.dimensions,
        parameters=dict(model.named_parameters()),
        **how,
    )


def _transformers() -> Any:
    try:
        import transformers
        from transformers import exporters
    except ImportError as error:
        raise InputError(
            f"compiling a HuggingFace model needs transformers with its exporters ({error}); "
            "install it with: pip install 'tilewright[huggingface]'"
        ) from error
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    del exporters
    return transformers


def _load_config(transformers: Any, source: str | Path, config_only: bool) -> Any:
    folder = Path(source)
    if config_only and folder.is_file():
        pass
    elif folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(f"folder {str(source)!r} holds no config.json, so it is not a HuggingFace model")
    elif folder.is_file() or not HUB_NAME.fullmatch(str(source)):
        raise InputError(f"there is no model folder {str(source)!r}, and it is not a hub name such as 'user/model'")
    else:
        _check_hub(str(source))
    try:
        return transformers.AutoConfig.from_pretrained(str(source), trust_remote_code=False)
    except Exception as error:  # each family checks its config in its own way
        what = "folder" if folder.is_dir() else "file" if folder.is_file() else "folder or hub model"
        raise InputError(f"{what} {str(source)!r} is not a model that transformers can read: {_line(error)}") from error


def _check_hub(name: str) -> None:
    """Ask the hub once whether it answers, unless it is switched off or the model is in the cache.

    Without a network transformers would try for half a minute first.
    """
    from huggingface_hub import constants, get_session, try_to_load_from_cache

    if constants.HF_HUB_OFFLINE or isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception as error:  # of whatever HTTP library the hub's client uses
        raise InputError(
            f"there is no model folder {name!r}, and the hub cannot be asked for it: {_line(error)}"
        ) from error


def _architecture(transformers: Any, source: str | Path, config: Any) -> Any:
    """The class of the model that a config names."""
    names = getattr(config, "architectures", None) or []
    architecture = _class_named(transformers, names[0], config) if names else transformers.AutoModel
    if architecture is None:
        raise InputError(f"model {str(source)!r} has architecture {names[0]!r}, which this transformers does not have")
    return architecture


def _without_weights(architecture: Any, source: str | Path, config: Any) -> Any:
    """The model on the meta device."""
    make = getattr(architecture, "from_config", architecture)  # AutoModel is made by a function of its own
    try:
        # attention written out: to take it apart would take a second tracing, which is longer than the first
        config._attn_implementation = "eager"
        with META:
            model = make(config).to(META)  # some parameters are made on the CPU whatever the default is
    except Exception as error:  # a config may hold any numbers
        raise InputError(f"the config of {str(source)!r} does not make a model: {_line(error)}") from error
    return _to_run(model)


def _load_model(architecture: Any, source: str | Path, config: Any) -> Any:
    """The model with its weights: mapped from its files where these are safetensors."""
    weights = stored_weights(source)
    place: dict[str, Any] = {} if weights is None else {"config": config, "state_dict": weights}
    try:
        model = architecture.from_pretrained(
            str(source) if weights is None else None, dtype=torch.float32, trust_remote_code=False, **place
        )
    except Exception as error:  # damaged weights surface as many types
        onnx_files = sorted(Path(source).glob("**/*.onnx")) if Path(source).is_dir() else []
        if onnx_files:
            raise InputError(
                f"folder {str(source)!r} holds no weights for transformers; compile its ONNX file: {onnx_files[0]}"
            ) from error
        raise InputError(f"the weights of {str(source)!r} cannot be loaded: {_line(error)}") from error
    for module in model.modules():
        module.register_forward_hook(_note_use)
    return _to_run(model)


def _to_run(model: Any) -> Any:
    """In eval mode, without gradients and without caches of keys and values."""
    for module in model.modules():  # decoders have configs of their own
        if getattr(getattr(module, "config", None), "use_cache", False):
            module.config.use_cache = False
    return model.eval().requires_grad_(False)


def _note_use(module: Any, arguments: Any, result: Any) -> None:
    for parameter in module._parameters.values():
        if parameter is not None:
            used(parameter)


def _class_named(transformers: Any, name: str, config: Any) -> Any:
    """A model class by its name; parts such as encoders are only in the module of their family."""
    if hasattr(transformers, name):
        return getattr(transformers, name)
    family = type(config).__module__.replace("configuration_", "modeling_")
    if not family.startswith("transformers.models."):
        return None
    try:
        found = getattr(importlib.import_module(family), name, None)
    except ImportError:
        return None
    return found if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel) else None


def _load_tokenizer(transformers: Any, source: str | Path) -> Any:
    folder = Path(source)
    if folder.is_dir() and not any(folder.glob("*token*")) and not any(folder.glob("*vocab*")):
        return None
    try:
        return transformers.AutoTokenizer.from_pretrained(str(source), trust_remote_code=False)
    except Exception as error:
        if folder.is_dir():
            raise InputError(f"the tokenizer in {str(source)!r} cannot be loaded: {_line(error)}") from error
        return None  # many hub models have none


def _tokenizer_files(tokenizer: Any) -> dict[str, bytes]:
    """The tokenizer in transformers' own current form, which has tokenizer.json whatever the source had."""
    if tokenizer is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = [path for path in Path(folder).iterdir() if path.is_file()]
        return {path.name: path.read_bytes() for path in files if path.stat().st_size <= LARGEST_TOKENIZER_FILE}


def _export(model: Any, wanted: ModelInputs) -> ExportedGraph:
    """Traced at the first example; only sizes that may vary are left open."""
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
    for record in graph.inputs:
        record.default = DEFAULTS.get(record.name)  # type: ignore[assignment]
    fixed = wanted.fixed_sizes(graph.inputs)
    if fixed:
        name = next(iter(fixed))
        raise InputError(
            f"{type(model).__name__} can be traced for one size of {name!r} alone: load it in Python and call "
            "tilewright.compile(model, example_inputs=...) with inputs of the size that you want"
        )
    return graph


def _identity(model: Any, source: str | Path) -> ModelIdentity:
    folder = Path(source)
    return ModelIdentity(
        name=_name(folder, str(source)),
        architecture=type(model).__name__,
        source="huggingface",
        sha256=weights_sha256(model),
        parameters=count_parameters(model),
        pooling=_pooling(folder),
    )


def _name(path: Path, source: str) -> str:
    """A folder's name, or that of the folder that a config lies in."""
    if path.is_file():
        return path.resolve().parent.name if path.stem == "config" else path.stem
    return path.resolve().name if path.is_dir() else source


def _pooling(folder: Path) -> Any:
    """What a sentence-transformers folder says of its pooling; None where it says nothing."""
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON: {error}") from error
    for kind, key in (("mean", "pooling_mode_mean_tokens"), ("cls", "pooling_mode_cls_token")):
        if settings.get(key) or settings.get("pooling_mode") == kind:
            return kind
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
