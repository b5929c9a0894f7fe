"""prepare() and restore(): a network whose layers run the target's arithmetic, for any training loop, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from tilewright.compiler.driver import AttentionBits, Calibrating, compile_keeping_scales
from tilewright.compiler.frontends.unwrapping import check_is_module, unwrapped
from tilewright.compiler.mapping.overrides import chosen_for, names_of_layers
from tilewright.compiler.network.restorable import has_restorable, restored
from tilewright.compiler.training.channel_scales import channel_scale_of
from tilewright.compiler.training.conditions import Conditions, PassCounter
from tilewright.compiler.training.prepared import PreparedLayer, prepared_class
from tilewright.compiler.training.products import PreparedProduct, prepare_products
from tilewright.runtime.plan.plan import Plan, check_is_plan
from tilewright.runtime.plan.records import LayerRecord, MatmulRecord
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.limits import check_seed
from tilewright.targets.loading import DEFAULT_CHIP, load_recipe
from tilewright.targets.shown import shown
from tilewright.targets.spec import AnalogTarget, Chip, IdealDevice, Recipe, Target

Module = TypeVar("Module", bound=nn.Module)


def prepare(
    model: Module,
    target: str | Path | Target | Chip | None = None,
    *,
    plan: Plan | None = None,
    recipe: str | Path | Recipe = "device-noise",
    example_inputs: Tensor | Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    calibration: Calibrating = None,
    attention_bits: AttentionBits | Mapping[str, AttentionBits] = "target",
    leave: Sequence[str] = (),
    seed: int = 0,
) -> Module:
    """Prepare a network for training on a target: its layers on tiles run the target's arithmetic, with gradients.

    model: any ``torch.nn.Module``; it is changed in place and returned. Its linear layers and convolutions get
    subclasses of their own classes, with the same parameters; any loop trains it. target, example_inputs, calibration,
    attention_bits: as for ``compile``, which is run to find what the target does with this network: its fused matrices,
    channel scales, row-blocks and input ranges; the target is pcm-512 if None. plan: such a plan that is at hand, in
    place of these. recipe: what is
    imposed: a name of the library, a YAML file, or an object. leave: patterns of names of layers that stay as they are,
    such as a head that an adapter replaces. seed: names all noise, which depends on no threads; the same seed trains
    the same bits on one and on two (with more, MKL may sum products of a few rows in another order).

    While it trains (``model.train()``), noise is drawn anew for each call of the model. In evaluation converters alone
    are imposed. ``compile`` takes the trained model as it is, and its ranges; ``restore`` gives the plain network back.
    Layers that the plan has on digital units stay as they are.

    Raises ``InputError`` for a network that is prepared already, a target without tiles or without any effect, a plan
    of another model, and layers on tiles that are none of torch's own linear layers and convolutions.
    """
    check_seed(seed)
    _check_given(plan, target, example_inputs, calibration, attention_bits, leave)
    inner, _ = unwrapped(model)
    if is_prepared(inner):
        raise InputError(f"{type(inner).__name__} is prepared already; restore() gives the plain network back")
    scales: Mapping[str, Tensor] | None = None
    if plan is None:
        plan, scales = compile_keeping_scales(
            inner,
            DEFAULT_CHIP if target is None else target,
            example_inputs=example_inputs,
            calibration=calibration,
            attention_bits=attention_bits,
        )
    prepare_by(inner, plan, load_recipe(recipe), seed, scales, leave)
    return model


def _check_given(
    plan: object, target: object, example_inputs: object, calibration: object, attention_bits: object, leave: object
) -> None:
    """Raise ``InputError`` for names of layers that are none, and for what a plan says already."""
    if isinstance(leave, str) or not isinstance(leave, Sequence) or not all(isinstance(one, str) for one in leave):
        raise InputError(f"leave is {shown(leave)}; it must be a list of names of layers, or patterns of them")
    own = None if attention_bits == "target" else attention_bits
    beside = {"target": target, "example_inputs": example_inputs, "calibration": calibration, "attention_bits": own}
    for name, given in beside.items():
        if plan is not None and given is not None:
            raise InputError(f"{name} is given beside a plan, which says it already; leave one of them out")


def prepare_by(
    inner: nn.Module,
    plan: Plan,
    recipe: Recipe,
    seed: int,
    scales: Mapping[str, Tensor] | None = None,
    leave: Sequence[str] = (),
) -> None:
    """Prepare a network by a plan of it.

    scales: channel scales of its layers by name; from the weights if None. leave: patterns of layers that stay.

    Raises ``InputError`` as ``prepare`` does.
    """
    check_is_plan(plan)
    plan.require_weights()
    document = plan.document
    left = chosen_for(names_of_layers(document.layers), dict.fromkeys(leave, 0), "no preparation")
    analog = [layer for layer in document.layers if _is_analog(plan, layer) and layer.name not in left]
    names = {layer.target for layer in analog}
    if not analog:
        raise InputError(
            f"chip {document.chip.name!r} has no layer of this network on tiles: there is nothing to train it for"
        )
    if len(names) > 1:
        raise InputError(f"the plan has layers on {' and '.join(sorted(names))}; a training imposes one kind of tile")
    (target_name,) = names
    on_tiles = document.chip.target(target_name)
    assert isinstance(on_tiles, AnalogTarget)
    check_has_effects(on_tiles)
    conditions = Conditions(on_tiles, recipe, seed)
    found = _owners(inner, analog)
    if scales is None:
        scales = {
            layer.name: scale for layer in analog if (scale := _scale_of(plan, layer, found[layer.name])) is not None
        }
    products = []
    if recipe.attention != "full_precision":
        products = _products(inner, document.matmuls, learned=recipe.attention == "learned")
    for layer in analog:  # all that can fail is behind: a network is prepared whole or not at all
        _prepare_layer(layer, found[layer.name], conditions, scales.get(layer.name))
    for owner, own in products:
        prepare_products(owner, own)
    PassCounter(inner, found[analog[0].name][0][1], conditions)


def restore(model: Module) -> Module:
    """The plain network of a prepared one, in place, with the weights that it has now; returns it.

    Raises ``InputError`` if it is not prepared.
    """
    inner, _ = unwrapped(model)
    if not is_prepared(inner):
        raise InputError(f"{type(inner).__name__} is not prepared: there is nothing to take out")
    restored(inner)
    return model


def is_prepared(model: nn.Module) -> bool:
    """True if a network, or a part of it, is prepared."""
    return has_restorable(model)


def conditions_of(model: nn.Module) -> Conditions:
    """Conditions of a prepared network. Raises ``InputError`` if it is not prepared."""
    check_is_module(model)
    for part in model.modules():
        if isinstance(part, PreparedLayer):
            return part.conditions
    raise InputError(f"{type(model).__name__} is not prepared; tilewright.prepare(model, target) does it")


def check_is_analog(chip: Chip) -> None:
    """Raise ``InputError`` for a chip of which training can learn nothing, whatever the network."""
    if not chip.tiles:
        raise InputError(f"chip {chip.name!r} has no tiles: there is nothing to train it for")
    if len(chip.tiles) == 1:
        check_has_effects(chip.tiles[0].target)


def check_has_effects(target: AnalogTarget) -> None:
    """Raise ``InputError`` for a target of which training can learn nothing."""
    tile = target.tile
    if isinstance(target.device, IdealDevice) and tile.dac is None and tile.adc is None and not tile.output_noise:
        raise InputError(f"target {target.name!r} changes nothing in a network: there is nothing to train it for")


def _is_analog(plan: Plan, layer: LayerRecord) -> bool:
    return plan.document.chip.target(layer.target).tile is not None


def _owners(model: nn.Module, layers: Sequence[LayerRecord]) -> dict[str, list[tuple[str, nn.Module]]]:
    """Modules that hold the matrices of each layer, by its name, in the order of its parts."""
    holding: dict[int, list[tuple[str, nn.Module]]] = {}
    for name, part in model.named_modules():
        weight = getattr(part, "weight", None)
        if isinstance(weight, nn.Parameter) and prepared_class(part) is not None:
            holding.setdefault(id(weight), []).append((name, part))
    parameters = dict(model.named_parameters(remove_duplicate=False))
    found: dict[str, list[tuple[str, nn.Module]]] = {}
    for layer in layers:
        owners = []
        for part in layer.parts:
            parameter = parameters.get(part.weight)
            if parameter is None:
                raise InputError(
                    f"layer {layer.name!r} of the plan is made of {part.weight!r}, which the model does not have; "
                    f"{nearest(part.weight, parameters)}"
                )
            modules = holding.get(id(parameter), [])
            if not modules:
                raise InputError(
                    f"layer {layer.name!r} on tiles multiplies by the parameter {part.weight!r}, which no Linear, "
                    "Conv1d or Conv2d of one group holds: it cannot be prepared; leave it as it is, by "
                    f"leave=[{layer.name!r}], or give a plan that has it on a digital target"
                )
            owners += modules
        found[layer.name] = owners
    held = Counter(id(module) for owners in found.values() for _, module in owners)
    shared = next((name for owners in found.values() for name, module in owners if held[id(module)] > 1), None)
    if shared is not None:  # with biases of their own, two layers of one matrix
        raise InputError(
            f"the weight of {shared!r} is that of several layers of the plan, each on devices of its own: it cannot be "
            "prepared; give each layer a weight of its own"
        )
    return found


def _prepare_layer(
    layer: LayerRecord, owners: list[tuple[str, nn.Module]], conditions: Conditions, scale: Tensor | None
) -> None:
    """Give the modules of one layer the classes that run the target's arithmetic.

    A layer that is called at several places has the largest of their ranges at each of them.
    """
    option = layer.option
    ranges = [use.input_range for use in option.uses]
    known = [value for value in ranges if value is not None]
    first: PreparedLayer | None = None
    for name, module in owners:
        made = prepared_class(module)
        assert made is not None
        module.__class__ = made
        assert isinstance(module, PreparedLayer)
        module.become(
            name, conditions, list(option.row_splits), max(known) if len(known) == len(ranges) else None, scale,
            option.clip_deviations, first,
        )  # fmt: skip
        first = first or module


def _scale_of(plan: Plan, layer: LayerRecord, owners: list[tuple[str, nn.Module]]) -> Tensor | None:
    """Channel scale of a layer by the plan's weights and the model's."""
    matrices = []
    for _, module in owners[: len(layer.parts)]:
        made = prepared_class(module)
        assert made is not None
        matrices.append(made.matrix(module).detach())  # type: ignore[arg-type]
    return channel_scale_of(plan, layer, torch.cat(matrices))


def _products(
    model: nn.Module, records: Sequence[MatmulRecord], *, learned: bool
) -> list[tuple[nn.Module, dict[str, PreparedProduct]]]:
    """Modules that multiply activations, each with its products on units of the plan's formats and ranges."""
    by_owner: dict[str, dict[str, PreparedProduct]] = {}
    modules = dict(model.named_modules())
    for record in records:
        owner, _, name = record.name.rpartition(".")
        if owner not in modules:
            raise InputError(
                f"the plan's product {record.name!r} is in no module of the model; {nearest(owner, modules)}"
            )
        by_owner.setdefault(owner, {})[name] = PreparedProduct(
            record.operands, record.left_ranges, record.right_ranges, left_signed=record.left_signed, learned=learned
        )
    return [(modules[owner], products) for owner, products in by_owner.items()]
