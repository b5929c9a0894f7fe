"""What a HuggingFace folder, config or hub name holds: config, model, tokenizer, loaded by transformers."""

from __future__ import annotations

import importlib
import re
import tempfile
from pathlib import Path
from typing import Any

import torch

from tilewright.compiler.frontends.stored_weights import stored_weights
from tilewright.compiler.frontends.without_weights import META
from tilewright.runtime.memory_map import used
from tilewright.targets.errors import InputError

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
LARGEST_TOKENIZER_FILE = 2**28  # bytes


def import_transformers() -> Any:
    """transformers, quiet. Raises ``InputError`` if it is not installed with its exporters."""
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


def load_config(transformers: Any, source: str | Path, *, config_only: bool) -> Any:
    """The config of a folder or hub name, or with ``config_only`` of a file. Raises ``InputError`` if there is none."""
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


def architecture_of(transformers: Any, source: str | Path, config: Any) -> Any:
    """The class of the model that a config names."""
    names = getattr(config, "architectures", None) or []
    architecture = _class_named(transformers, names[0], config) if names else transformers.AutoModel
    if architecture is None:
        raise InputError(f"model {str(source)!r} has architecture {names[0]!r}, which this transformers does not have")
    return architecture


def model_without_weights(architecture: Any, source: str | Path, config: Any) -> Any:
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


def load_model(architecture: Any, source: str | Path, config: Any) -> Any:
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


def load_tokenizer(transformers: Any, source: str | Path) -> Any:
    """The tokenizer; None if there is none. Raises ``InputError`` if a folder's cannot be loaded."""
    folder = Path(source)
    if folder.is_dir() and not any(folder.glob("*token*")) and not any(folder.glob("*vocab*")):
        return None
    try:
        return transformers.AutoTokenizer.from_pretrained(str(source), trust_remote_code=False)
    except Exception as error:
        if folder.is_dir():
            raise InputError(f"the tokenizer in {str(source)!r} cannot be loaded: {_line(error)}") from error
        return None  # many hub models have none


def tokenizer_files(tokenizer: Any) -> dict[str, bytes]:
    """The tokenizer in transformers' own current form, which has tokenizer.json whatever the source had."""
    if tokenizer is None:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = [path for path in Path(folder).iterdir() if path.is_file()]
        return {path.name: path.read_bytes() for path in files if path.stat().st_size <= LARGEST_TOKENIZER_FILE}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
