"""Contents of a HuggingFace folder, config or hub name: config, model and tokenizer, loaded by transformers."""

from __future__ import annotations

import importlib
import inspect
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.frontends.caches import configs_with_cache
from tilewright.compiler.frontends.checkpoint import check_complete, computed_tables, missing_weights, unused_tensors
from tilewright.compiler.frontends.config_limits import bounded_building, check_config
from tilewright.compiler.frontends.foreign_errors import in_one_line, refusing
from tilewright.compiler.frontends.stored_weights import PICKLED, SAFETENSORS, stored_weights, weight_files
from tilewright.compiler.frontends.trained_checkpoint import read_trained
from tilewright.compiler.frontends.without_weights import META
from tilewright.compiler.network.trained_layers import Trained
from tilewright.compiler.network.trained_products import TrainedProduct
from tilewright.runtime.plan.records import UnusedTensor
from tilewright.runtime.storage.memory_map import used
from tilewright.runtime.tasks.texts.text import NO_LENGTH
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import kind_of, read_bytes
from tilewright.targets.shown import shown

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
LARGEST_TOKENIZER_FILE = 2**28  # bytes
IMAGE_PROCESSOR = "preprocessor_config.json"
LARGEST_PROCESSOR = 2**20  # bytes
ANALOG = "AnalogWrapper"
"""Beginning of the names of model classes that AIHWKit and AIHWKit-Lightning convert."""
MOST_TIED = 8
"""Largest number of times that a stored table may be in a model before tied parameters are made one."""
ALWAYS_ALLOWED = 2**24
"""Number of parameters that a model may have, however few its files hold."""


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
    path = _config_file(source)
    if path is not None:
        check_config(path)
    what = "folder" if folder.is_dir() else "file" if folder.is_file() else "folder or hub model"
    with refusing(f"{what} {str(source)!r} is not a model that transformers can read", in_one_line):
        return transformers.AutoConfig.from_pretrained(str(source), trust_remote_code=False)


def _config_file(source: str | Path) -> Path | None:
    """The config's file, from the hub if need be; None if it cannot be had, which transformers then says."""
    if Path(source).exists():
        return Path(source) / "config.json" if Path(source).is_dir() else Path(source)
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(str(source), "config.json"))
    except Exception:  # noqa: BLE001 (of the hub's client, or of the library that it speaks HTTP with)
        return None


def _check_hub(name: str) -> None:
    """Ask the hub once whether it answers, unless it is switched off or the model is in the cache.

    Without a network transformers would try for half a minute first.
    """
    from huggingface_hub import constants, get_session, try_to_load_from_cache

    if constants.HF_HUB_OFFLINE or isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    with refusing(f"there is no model folder {name!r}, and the hub cannot be asked for it", in_one_line):
        get_session().head(constants.ENDPOINT, timeout=10)


def architecture_of(transformers: Any, source: str | Path, config: Any) -> Any:
    """The class of the model that a config names."""
    names = getattr(config, "architectures", None) or []
    names = [name.removeprefix(ANALOG) if isinstance(name, str) else name for name in names]
    architecture = _class_named(transformers, names[0], config) if names else transformers.AutoModel
    if architecture is None:
        of_family = [name for name, value in vars(_family(config) or object).items() if _is_model(transformers, value)]
        raise InputError(
            f"model {str(source)!r} has architecture {shown(names[0])}, which this transformers does not have; "
            f"{nearest(names[0], of_family)}"
        )
    return architecture


@dataclass
class LoadedModel:
    """A model, and the notes on the files that its weights came from."""

    model: Any
    unused_tensors: list[UnusedTensor]
    """Tensors in the files that are in no part of the model."""
    notes: list[str]
    trained: Trained = field(default_factory=dict)
    products: dict[str, TrainedProduct] = field(default_factory=dict)
    """Input ranges that the files hold beside weights, by the model's name of the weight."""


def model_without_weights(architecture: Any, source: str | Path, config: Any) -> LoadedModel:
    """The model of a config on the meta device, without weights."""
    make = getattr(architecture, "from_config", architecture)  # AutoModel is made by a function of its own
    refused = refusing(f"the config of {str(source)!r} does not make a model", in_one_line)
    with refused, META, bounded_building(source):
        model = make(config).to(META)  # some parameters are made on the CPU whatever the default is
    return LoadedModel(_to_run(model), [], [])


def load_model(architecture: Any, source: str | Path, config: Any) -> LoadedModel:
    """The model with its weights, mapped from its files. Raises ``InputError`` if any is missing or does not fit."""
    folder = _folder_of_weights(source)
    onnx_files = sorted(folder.glob("**/*.onnx"))
    if onnx_files and not weight_files(folder, SAFETENSORS) and not weight_files(folder, PICKLED):
        raise InputError(
            f"folder {str(source)!r} holds no weights for transformers; compile its ONNX file: {onnx_files[0]}"
        )
    weights = stored_weights(folder)
    model, report = _filled(architecture, source, config, weights)
    notes = []
    missing = missing_weights(model, report)
    may_lack_pooler = "add_pooling_layer" in inspect.signature(type(model)).parameters
    if missing and all("pooler." in name for name in missing) and may_lack_pooler:
        model, report = _filled(architecture, source, config, weights, add_pooling_layer=False)
        notes.append("the files hold no weights of the pooler, so the model is compiled without it and its output")
    check_complete(model, report, source)
    computed = computed_tables(model, report)
    if computed:
        notes.append(f"the files lack {len(computed)} tables that the model computes itself ({computed[0]})")
    for module in model.modules():
        module.register_forward_hook(_note_use)
    found = read_trained(model, report["unexpected_keys"], weights)
    unused = [tensor for tensor in unused_tensors(report, weights) if tensor.name not in found.used]
    return LoadedModel(_to_run(model), unused, [*notes, *found.notes], found.trained, found.products)


def _folder_of_weights(source: str | Path) -> Path:
    """The model's folder; that in the hub's cache for a hub name."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    with refusing(f"the weights of {str(source)!r} cannot be had from the hub", in_one_line):
        folder = Path(snapshot_download(str(source), allow_patterns=list(SAFETENSORS)))
        if not weight_files(folder, SAFETENSORS):
            folder = Path(snapshot_download(str(source), allow_patterns=list(PICKLED)))
    return folder


def sentence_folder(source: str | Path) -> Path:
    """The folder with a model's sentence-transformers modules, from the hub if need be; one without any if none are."""
    if Path(source).exists():
        return Path(source)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), allow_patterns=["modules.json", "[0-9]*_*/*"]))
    except Exception:  # noqa: BLE001 (the weights are asked for next, and say what is wrong)
        return Path(source)


def _filled(architecture: Any, source: str | Path, config: Any, weights: dict[str, Tensor], **how: Any) -> Any:
    """The model made by its config and filled with weights, and what transformers reports of it."""
    stored = sum(tensor.numel() for tensor in weights.values())
    what = f"the weights of {str(source)!r} cannot be loaded"
    with refusing(what, in_one_line), bounded_building(source, MOST_TIED * stored + ALWAYS_ALLOWED):
        return architecture.from_pretrained(
            None,
            config=config,
            state_dict=dict(weights),
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused with their names
            **how,
        )


def _to_run(model: Any) -> Any:
    """The model in eval mode, without gradients and without caches of keys and values."""
    for config in configs_with_cache(model):
        config.use_cache = False
    return model.eval().requires_grad_(False)


def _note_use(module: Any, _arguments: Any, _result: Any) -> None:
    for parameter in module._parameters.values():
        if parameter is not None:
            used(parameter)


def _class_named(transformers: Any, name: str, config: Any) -> Any:
    """A model class by its name; parts such as encoders are only in the module of their family."""
    found = getattr(transformers, name, None) or getattr(_family(config), name, None)
    return found if _is_model(transformers, found) else None


def _family(config: Any) -> Any:
    """The module of transformers that has a config's models; None for a config of another package."""
    name = type(config).__module__.replace("configuration_", "modeling_")
    if not name.startswith("transformers.models."):
        return None
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _is_model(transformers: Any, found: Any) -> bool:
    """True if an object is a class of models: a config may name anything."""
    return isinstance(found, type) and issubclass(found, transformers.PreTrainedModel)


def load_tokenizer(transformers: Any, source: str | Path) -> Any:
    """The tokenizer; None if there is none. Raises ``InputError`` if a folder's cannot be loaded."""
    folder = Path(source)
    if folder.is_dir() and not any(folder.glob("*token*")) and not any(folder.glob("*vocab*")):
        return None
    try:
        return transformers.AutoTokenizer.from_pretrained(str(source), trust_remote_code=False)
    except Exception as error:
        if folder.is_dir():
            raise InputError(f"the tokenizer in {str(source)!r} cannot be loaded: {in_one_line(error)}") from error
        return None  # many hub models have none


def tokenizer_files(tokenizer: Any, longest: int | None) -> dict[str, bytes]:
    """The tokenizer in transformers' own current form, which has tokenizer.json whatever the source had.

    longest: tokens that the model reads at once, which it then tells where it told none itself; None if not known.
    """
    if tokenizer is None:
        return {}
    if longest is not None and tokenizer.model_max_length > NO_LENGTH:
        tokenizer.model_max_length = longest
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        files = [path for path in Path(folder).iterdir() if path.is_file()]
        return {path.name: path.read_bytes() for path in files if path.stat().st_size <= LARGEST_TOKENIZER_FILE}


def image_processor_files(source: str | Path) -> dict[str, bytes]:
    """The file that says how images become a model's inputs; none if there is none, or it cannot be had."""
    path = Path(source) / IMAGE_PROCESSOR
    if not Path(source).exists():
        from huggingface_hub import hf_hub_download

        try:
            path = Path(hf_hub_download(str(source), IMAGE_PROCESSOR))
        except Exception:  # noqa: BLE001 (of the hub's client, or of the library that it speaks HTTP with)
            return {}
    return {IMAGE_PROCESSOR: read_bytes(path, "file", LARGEST_PROCESSOR)} if kind_of(path) is not None else {}
