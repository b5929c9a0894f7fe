"""How each layer would run on every target of the chip: what a later choice chooses from, without the model."""

from __future__ import annotations

from dataclasses import replace

from tilewright.compiler.mapping.choose_programming import choose_programming
from tilewright.compiler.mapping.overrides import chosen_for, names_of_layers
from tilewright.compiler.network.compilation import Compilation
from tilewright.compiler.observing.calibrate import calibrate
from tilewright.compiler.observing.clip_weights import clip_weights
from tilewright.runtime.plan.decisions import Decision, without_use
from tilewright.runtime.plan.records import LayerRecord, TargetOption
from tilewright.targets.spec import AnalogTarget, DigitalTarget

FIXED_A_TARGET = ("choose_programming", "clip_weights", "calibrate")
"""Passes whose decisions belong to a layer on one target."""


def offer_targets(compilation: Compilation) -> None:
    """Fill the layers' options: their own target, and the chip's others where nobody asked for one.

    The graph, and with it a channel scale that was folded into the layer before, is the same for all of them.
    """
    asked_for = chosen_for(names_of_layers(compilation.layers.values()), compilation.wanted_targets, "target")
    for layer in compilation.layers.values():
        layer.options = [_option(layer, compilation.decisions)]
    for target in compilation.chip.targets:
        open_to_it = [
            layer for name, layer in compilation.layers.items() if layer.target != target.name and name not in asked_for
        ]
        if not open_to_it:
            continue
        trial = _trial(compilation, target)
        for layer in open_to_it:
            layer.options.append(_option(trial.layers[layer.name], trial.decisions))
        compilation.calibrations |= trial.calibrations
    compilation.layer_inputs.clear()


def _trial(compilation: Compilation, target: AnalogTarget | DigitalTarget) -> Compilation:
    """The same network with every layer on one target, and all that is fixed a target fixed."""
    digital = isinstance(target, DigitalTarget)
    layers = {name: layer.model_copy(deep=True) for name, layer in compilation.layers.items()}
    for layer in layers.values():
        layer.target, layer.programming, layer.clip_deviations = target.name, None, None
        layer.has_calibration, layer.has_channel_scale = False, layer.has_channel_scale and not digital
    methods = {} if digital else compilation.wanted_programming
    trial = replace(compilation, layers=layers, wanted_programming=methods, decisions=[], matmuls={}, calibrations={})
    choose_programming(trial)
    if compilation.traced.has_weights:
        clip_weights(trial)
        calibrate(trial)
    return trial


def _option(layer: LayerRecord, decisions: list[Decision]) -> TargetOption:
    about = [d for d in decisions if d.made_by in FIXED_A_TARGET and is_about(d, layer.name)]
    return TargetOption(
        target=layer.target,
        programming=layer.programming,
        clip_deviations=layer.clip_deviations,
        has_channel_scale=layer.has_channel_scale,
        has_calibration=layer.has_calibration,
        input_ranges=[use.input_range for use in layer.uses],
        decisions=about,
    )


def is_about(decision: Decision, layer: str) -> bool:
    """Whether a decision is about a layer, or one of its uses."""
    return without_use(decision.subject) == layer
