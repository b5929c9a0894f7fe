"""Clipping of a layer's weights, for targets that clip them.

A column is programmed relative to its largest weight. A single large one leaves the others small, and small weights are
noisy ones; cutting it costs the cut. Without retraining it hurts early and helps late (Rasch 2023).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tilewright.compiler.network.layers import Options
from tilewright.compiler.observing.observe import Case
from tilewright.compiler.observing.simulation import RememberedDraws, error_figure, simulated_error
from tilewright.runtime.chip.parallel import in_parallel
from tilewright.runtime.plan.decisions import Decision, Figure
from tilewright.runtime.plan.records import LayerOption
from tilewright.targets.spec.tile import ClippedAtDeviations

DEVIATIONS = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
"""Cuts to choose from, in root mean squares of what shares a scale."""


@torch.inference_mode()
def clip_weights(cases: Mapping[tuple[str, str], Case], options: Options) -> Options:
    """The options with a cut of the weights where the target clips them. cases: by layer and target, as options are."""
    clipping = [key for key, case in cases.items() if case.target.tile is not None and case.target.tile.weight_clipping]
    cut = in_parallel(lambda key: _clipped(cases[key], options[key]), clipping)
    return options | dict(zip(clipping, cut, strict=True))


def _clipped(case: Case, option: LayerOption) -> LayerOption:
    assert case.target.tile is not None
    rule = case.target.tile.weight_clipping
    figures: dict[float | None, list[Figure]]
    if isinstance(rule, ClippedAtDeviations):
        best: float | None = float(rule.deviations)
        figures, reason = {best: []}, f"{case.target.name} asks for it"
    else:
        draws = RememberedDraws(0, 0)
        errors = {cut: simulated_error(case, draws, cut) for cut in (None, *DEVIATIONS)}
        best = min(errors, key=errors.__getitem__)
        figures = {cut: [error_figure(error)] for cut, error in errors.items()}
        reason = "the least error of its outputs on a simulated chip after a day"
    named = {_text(cut): found for cut, found in figures.items()}
    decision = Decision.among(named, _text(best), made_by="clip_weights", subject=case.layer.name, reason=reason)
    return option.model_copy(update={"clip_deviations": best, "decisions": [*option.decisions, decision]})


def _text(cut: float | None) -> str:
    return "weights as they are" if cut is None else f"weights cut at {cut:g} root mean squares"
