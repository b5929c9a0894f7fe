"""Where the weights of a layer are cut, for targets that clip them.

A column is programmed relative to its largest weight. A single large one leaves the others small, and small weights are
noisy ones; cutting it costs the cut. Without retraining it hurts early and helps late (Rasch 2023).
"""

from __future__ import annotations

import torch

from tilewright.compiler.network.compilation import Compilation
from tilewright.compiler.observing.simulation import RememberedDraws, simulated_error
from tilewright.runtime.plan.decisions import Alternative, Decision, Figure
from tilewright.runtime.plan.records import LayerRecord
from tilewright.targets.spec import AnalogTarget
from tilewright.targets.spec.tile import ClippedAtDeviations

DEVIATIONS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
"""Cuts to choose from, in root mean squares of what shares a scale."""


@torch.inference_mode()
def clip_weights(compilation: Compilation) -> None:
    """Fill ``clip_deviations`` of the layers whose target clips."""
    for layer, target in compilation.layers_on_tiles():
        rule = target.tile.weight_clipping
        if rule is None:
            continue
        if isinstance(rule, ClippedAtDeviations):
            layer.clip_deviations = float(rule.deviations)
            reason = f"{target.name} asks for it"
            _decide(compilation, layer, layer.clip_deviations, reason, {})
        else:
            _by_error(compilation, layer, target)


def _by_error(compilation: Compilation, layer: LayerRecord, target: AnalogTarget) -> None:
    seen = [compilation.layer_inputs[layer.name, use] for use in range(len(layer.uses))]
    weight, scale = compilation.layer_module(layer.name).weight, compilation.channel_scales.get(layer.name)
    method, draws = compilation.method_of(layer), RememberedDraws(0, 0)
    errors = {
        cut: simulated_error(target, method, weight, seen, channel_scale=scale, clip_deviations=cut, draws=draws)
        for cut in (None, *DEVIATIONS)
    }
    best = min(errors, key=lambda cut: errors[cut])
    layer.clip_deviations = best
    _decide(compilation, layer, best, "the least error of its outputs on a simulated chip after a day", errors)


def _decide(
    compilation: Compilation, layer: LayerRecord, best: float | None, reason: str, errors: dict[float | None, float]
) -> None:
    def figures(cut: float | None) -> list[Figure]:
        if cut not in errors:
            return []
        return [Figure(name="simulated output error after a day", value=errors[cut], unit="1")]

    compilation.decisions.append(
        Decision(
            made_by="clip_weights",
            subject=layer.name,
            choice=_text(best),
            reason=reason,
            figures=figures(best),
            rejected=[Alternative(choice=_text(cut), figures=figures(cut)) for cut in errors if cut != best],
        )
    )


def _text(cut: float | None) -> str:
    return "weights as they are" if cut is None else f"weights cut at {cut:g} root mean squares"
