"""Driver of compiling: a network in, a plan out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.export import ExportedProgram

from tilewright.compiler.compare_with_network import checked_against
from tilewright.compiler.frontends.source_key import source_key
from tilewright.compiler.frontends.training_record import notes_on_training
from tilewright.compiler.mapping.assign_targets import check_targets
from tilewright.compiler.mapping.overrides import EVERY_LAYER, Wishes
from tilewright.compiler.mapping.ranges_left_out import product_ranges_left_out, ranges_left_out
from tilewright.compiler.network import kept_networks
from tilewright.compiler.network.loops import loop_records
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.traced import Traced
from tilewright.compiler.pipeline import OnPass, PassError
from tilewright.compiler.steps import Mapped, map_network
from tilewright.runtime.plan.adapter_folder import read_adapter
from tilewright.runtime.plan.check import PlanError, check_plan
from tilewright.runtime.plan.decisions import in_running_order
from tilewright.runtime.plan.graph import encode_graph
from tilewright.runtime.plan.names import (
    LAYER_PREFIX,
    bias_key,
    calibration_key,
    channel_scale_key,
    input_factor_key,
    output_factor_key,
    weight_key,
)
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import SCHEMA_VERSION, FileRecord, PlanDocument
from tilewright.targets.draws_version import VERSION
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_flags
from tilewright.targets.loading import load_attention_unit, load_chip, load_programming, target_names
from tilewright.targets.shown import shown
from tilewright.targets.spec import AttentionUnit, Chip, Programming, Target

if TYPE_CHECKING:
    from onnx import ModelProto

AttentionBits = int | str
FLOATING_POINT = ("fp32", "fp16", "bf16")
Calibrating = Sequence[str] | Mapping[str, Any] | None
UNSAVED = FileRecord(file="weights.safetensors", sha256="0" * 64, bytes=0)


def compile(
    model: nn.Module | ExportedProgram | str | Path | ModelProto,
    target: str | Path | Target | Chip = "pcm-512",
    *,
    example_inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    calibration: Calibrating = None,
    attention_bits: AttentionBits | Mapping[str, AttentionBits] = "target",
    assign: Mapping[str, str] | None = None,
    programming: str | Path | Programming | Mapping[str, str | Path | Programming] | None = None,
    adapters: Mapping[str, str | Path] | None = None,
    name: str | None = None,
    dynamic_shapes: Any = None,
    check: bool = False,
    config_only: bool = False,
    cache: bool = True,
    on_pass: OnPass | None = None,
) -> Plan:
    """Compile a network for a target: trace it, find its layers, place them on tiles, and verify every step.

    model: a HuggingFace folder or hub name, an .onnx file or ``ModelProto``, a ``torch.export.ExportedProgram``, or any
    ``torch.nn.Module`` with ``example_inputs`` (one tensor, several, or a mapping by name). target: a chip, or a target
    alone, by library name, YAML file or object. attention_bits: of the attention units: a number from 2 to 16, "bf16",
    "fp32", an attention unit's name, or "target" for the chip's own; or patterns of products' names -> these. assign:
    patterns of layer names -> the chip's target they run on. programming: the method for all layers on tiles, or
    patterns of layer names -> methods. calibration: sample inputs that fix the input ranges: texts, or arrays by input
    name with samples along the first dimension; an automatic set if None, and the plan says so. check: run the original
    network beside the plan on the ideal target (ONNX: with onnxruntime) and write the difference into the plan;
    ``PassError`` if it is too large. adapters: folders of LoRA adapters as the library peft saves them, by the names
    that choose them when the plan runs (``Plan.with_adapter``). config_only: map a HuggingFace model from its config
    alone (a folder, a config.json or a hub name), of any size: no weights are read, no range is calibrated, and the
    plan has tiles, cost and report but cannot be run; a ``Module`` on the meta device is compiled in this way too.
    cache: keep the traced network of a folder, hub name or .onnx file in the user's cache folder, and take what an
    earlier call kept of the same files, samples and versions; the plan is the same. The environment variable
    TILEWRIGHT_CACHE names another folder, or "off". on_pass: called after each pass with (name, number, count,
    seconds).

    Returns a plan in memory; ``plan.save(folder)`` writes it. Raises ``InputError`` for what cannot be compiled, and
    ``PassError`` for a bug of tilewright: a pass that changed what the network computes.
    """
    return compile_keeping_scales(
        model, target, example_inputs=example_inputs, calibration=calibration, attention_bits=attention_bits,
        assign=assign, programming=programming, name=name, dynamic_shapes=dynamic_shapes, check=check,
        config_only=config_only, cache=cache, adapters=adapters, on_pass=on_pass,
    )[0]  # fmt: skip


def compile_keeping_scales(
    model: nn.Module | ExportedProgram | str | Path | ModelProto,
    target: str | Path | Target | Chip,
    *,
    example_inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    calibration: Calibrating = None,
    attention_bits: AttentionBits | Mapping[str, AttentionBits] = "target",
    assign: Mapping[str, str] | None = None,
    programming: str | Path | Programming | Mapping[str, str | Path | Programming] | None = None,
    name: str | None = None,
    dynamic_shapes: Any = None,
    check: bool = False,
    config_only: bool = False,
    cache: bool = True,
    adapters: Mapping[str, str | Path] | None = None,
    on_pass: OnPass | None = None,
) -> tuple[Plan, Mapping[str, Tensor]]:
    """The plan of ``compile``, and the channel scales of its layers by name, those too that weights hold by now."""
    check_flags(check=check, config_only=config_only, cache=cache)
    chip = load_chip(target)
    units = attention_units(attention_bits, chip)
    methods = wanted_programming(programming)
    check_targets(chip, assign or {})
    if config_only and (calibration is not None or check or adapters):
        what = "calibration" if calibration is not None else "check" if check else "an adapter"
        raise InputError(f"{what} needs the model's weights, which config_only leaves out; give one of them")
    if adapters is not None and not isinstance(adapters, Mapping):
        raise InputError(f"adapters are {shown(adapters)}; give folders by the names that choose them")
    for folder in (adapters or {}).values():
        read_adapter(folder)  # what is wrong with it is said before the model is traced
    given = {"example_inputs": example_inputs, "calibration": calibration, "name": name}
    key = source_key(model, config_only, **given) if cache else None
    network = None if check else kept_networks.find(key)
    original = None
    if network is None:
        traced = trace(model, example_inputs, calibration, name, dynamic_shapes, config_only=config_only)
        original = traced.original if check else None
        network = Network.of(traced)
        del traced  # with the model, which the network does not hold
    keep = partial(kept_networks.keep, key=key)
    wishes = Wishes(chip, units, dict(assign or {}), methods)
    mapped = map_network(network, wishes, on_pass, keep)
    plan = build_plan(network, mapped, chip, notes_on_training(model, chip, units[EVERY_LAYER].operands))
    try:
        check_plan(plan.document, plan.tensors)
    except PlanError as error:
        raise PassError(f"the passes left a plan that does not agree with itself: {error}") from error
    if original is not None:
        plan = checked_against(plan, network.traced, original)
    for adapter, folder in (adapters or {}).items():
        plan = plan.with_adapter(adapter, folder)
    return plan, mapped.moved


def attention_units(wanted: AttentionBits | Mapping[str, AttentionBits], chip: Chip) -> dict[str, AttentionUnit]:
    """Attention units by pattern of products' names. Raises ``InputError`` if there is none of that name or size."""
    own = {EVERY_LAYER: chip.attention.unit}
    if not isinstance(wanted, Mapping):
        wanted = {EVERY_LAYER: wanted}
    return own | {pattern: attention_unit(bits, chip.attention.unit) for pattern, bits in wanted.items()}


def attention_unit(wanted: AttentionBits, own: AttentionUnit) -> AttentionUnit:
    """The attention unit that is asked for: one of that name, or the chip's own with that number format."""
    if wanted == "target":
        return own
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 2 <= wanted <= 16:
        return own.model_copy(update={"operands": f"int{wanted}"})
    if isinstance(wanted, str) and (wanted in FLOATING_POINT or re.fullmatch(r"int([2-9]|1[0-6])", wanted)):
        return own.model_copy(update={"operands": wanted})
    units = target_names("attention")
    if isinstance(wanted, str) and (wanted in units or Path(wanted).is_file()):
        return load_attention_unit(wanted)
    known = nearest(str(wanted), ["target", *FLOATING_POINT, *units])
    raise InputError(f"attention bits are {wanted!r}, not a whole number from 2 to 16 or a name; {known}")


def wanted_programming(
    programming: str | Path | Programming | Mapping[str, str | Path | Programming] | None,
) -> dict[str, Programming]:
    """Programming methods by pattern of layer names; one method alone is for every layer on tiles."""
    if programming is None:
        return {}
    if isinstance(programming, Mapping):
        return {pattern: load_programming(method) for pattern, method in programming.items()}
    return {EVERY_LAYER: load_programming(programming)}


def trace(
    model: nn.Module | ExportedProgram | str | Path | ModelProto,
    example_inputs: Any,
    calibration: Calibrating,
    name: str | None,
    dynamic_shapes: Any,
    *,
    config_only: bool = False,
) -> Traced:
    """The graph of the model, by the frontend that fits it."""
    if config_only and not (isinstance(model, str | Path) and not is_onnx(model)):
        what = "an ONNX model" if is_onnx(model) else f"a {type(model).__name__}"
        raise InputError(
            f"config_only maps a HuggingFace folder, config.json or hub name, not {what}; a torch.nn.Module that was "
            "built under torch.device('meta') is compiled without weights by itself"
        )
    if isinstance(model, nn.Module | ExportedProgram):
        from tilewright.compiler.frontends.torch_module import trace_module

        return trace_module(model, example_inputs, calibration=calibration, name=name, dynamic_shapes=dynamic_shapes)
    if is_onnx(model):
        trace_onnx = _onnx_frontend()
        traced: Traced = trace_onnx(model, example_inputs, calibration)
    elif isinstance(model, str | Path):
        from tilewright.compiler.frontends.huggingface import trace_huggingface

        traced = trace_huggingface(model, calibration, config_only=config_only)
    else:
        raise InputError(
            f"model is a {type(model).__name__}; it must be a folder, a hub name, an .onnx file, an onnx.ModelProto, "
            "a torch.nn.Module or a torch.export.ExportedProgram"
        )
    return traced if name is None else replace(traced, model=traced.model.model_copy(update={"name": name}))


def is_onnx(model: object) -> bool:
    """True if ``model`` names an ONNX file, or is one in memory."""
    if isinstance(model, str | Path):
        return Path(model).suffix.lower() == ".onnx"
    return type(model).__name__ == "ModelProto"


def _onnx_frontend() -> Any:
    try:
        from tilewright.compiler.frontends.onnx import trace_onnx
    except ImportError as error:
        raise InputError(
            f"compiling an ONNX model needs the package onnx ({error}); install it with: pip install 'tilewright[onnx]'"
        ) from error
    return trace_onnx


def build_plan(network: Network, mapped: Mapped, chip: Chip, notes: Sequence[str] = ()) -> Plan:
    """The plan of a mapped network, with the tensors its graph needs. notes: on this chip, beside the network's own."""
    traced = network.traced
    document = PlanDocument(
        schema_version=SCHEMA_VERSION,
        tilewright_version=version("tilewright"),
        draws=VERSION,
        model=traced.model,
        placement=mapped.placement,
        inputs=traced.inputs,
        outputs=traced.outputs,
        dimensions=traced.dimensions,
        size_conditions=traced.size_conditions,
        layers=mapped.layers,
        matmuls=mapped.matmuls,
        weights_of_model=mapped.weights,
        unused_tensors=traced.unused_tensors,
        assignment=None,
        calibration=traced.calibration,
        decisions=in_running_order(mapped.decisions),
        verification=network.verification,
        check=None,
        notes=[
            *traced.notes,
            *notes,
            *ranges_left_out(traced.trained, network.trained_weights, mapped.layers),
            *product_ranges_left_out(traced.trained_products, mapped.matmuls),
        ],
        chip=chip,
        programming=mapped.programming,
        graph=encode_graph(network.graph.graph),
        loops=loop_records(network),
        tensors={},
        weights=UNSAVED if traced.has_weights else None,
        tokenizer=[],
        adapters=[],
    )
    return Plan(document, _tensors(network, mapped), traced.tokenizer_files)


def _tensors(network: Network, mapped: Mapped) -> dict[str, Tensor]:
    """Tensors of a plan by name: weights of layers first, in their order, then all else that the graph reads."""
    tensors: dict[str, Tensor] = {}
    for layer in mapped.layers:
        module = network.layer_module(layer.name)
        tensors[weight_key(layer.name)] = module.weight
        if layer.has_bias:
            assert module.bias is not None
            tensors[bias_key(layer.name)] = module.bias
        if any(option.has_channel_scale for option in layer.options):
            tensors[channel_scale_key(layer.name)] = mapped.channel_scales[layer.name]
        if layer.has_factors:
            inputs, outputs = network.factors[layer.name]
            tensors |= {input_factor_key(layer.name): inputs, output_factor_key(layer.name): outputs}
        for option in layer.options:
            if option.has_calibration:
                calibration = mapped.calibrations[layer.name, option.target]
                tensors[calibration_key(layer.name, option.target)] = calibration
    for node in chain(network.graph.graph.nodes, *(loop.body.graph.nodes for _, loop in network.loops)):
        tensor = network.tensor(node)
        if tensor is not None:
            if str(node.target).startswith(LAYER_PREFIX):
                raise InputError(f"the model's tensor {node.target!r} has a name that tilewright keeps for its own")
            tensors[str(node.target)] = tensor
    return tensors
