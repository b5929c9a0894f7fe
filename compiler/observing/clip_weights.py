"""Clipping of a layer's weights, for targets that clip them.

A column is programmed relative to its largest weight. A single large one leaves the others small, and small weights are
noisy ones; cutting it costs the cut. Without retraining it hurts early and helps late (Rasch 2023).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.simulation import RememberedDraws, error_figure, simulated_error
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.targets.spec import AnalogTarget, Programming
from tilewright.targets.spec.tile import ClippedAtDeviations

DEVIATIONS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
"""Cuts to choose from, in root mean squares of what shares a scale."""


@torch.inference_mode()
def clip_weights(
    name: str,
    weight: Tensor,
    target: AnalogTarget,
    method: Programming,
    seen: list[Observed],
    channel_scale: Tensor | None,
) -> tuple[float | None, list[Decision]]:
    """Cut of a layer's weights in root mean squares, None for no cut, and the decision where the target clips at all.

    weight: [outputs, inputs]; seen: inputs of each use.
    """
    rule = target.tile.weight_clipping
    if rule is None:
        return None, []
    if isinstance(rule, ClippedAtDeviations):
        cut = float(rule.deviations)
        return cut, [_decision(name, cut, f"{target.name} asks for it", {cut: []})]
    draws = RememberedDraws(0, 0)
    errors = {
        cut: simulated_error(
            target, method, weight, seen, channel_scale=channel_scale, clip_deviations=cut, draws=draws
        )
        for cut in (None, *DEVIATIONS)
    }
    best = min(errors, key=lambda cut: errors[cut])
    figures = {cut: [error_figure(error)] for cut, error in errors.items()}
    return best, [_decision(name, best, "the least error of its outputs on a simulated chip after a day", figures)]


def _decision(subject: str, best: float | None, reason: str, figures: Mapping[float | None, list[Figure]]) -> Decision:
    named = {_text(cut): found for cut, found in figures.items()}
    return Decision.among(named, _text(best), made_by="clip_weights", subject=subject, reason=reason)


def _text(cut: float | None) -> str:
    return "weights as they are" if cut is None else f"weights cut at {cut:g} root mean squares"
