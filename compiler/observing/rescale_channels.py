"""Moving the size of outlier channels from activations into weights, where the simulated error falls.

A few channels of a transformer's activations are tens of times larger than the rest. One input range for all of them
leaves the rest a handful of DAC steps, and their sums lie near the ADC's noise. Dividing channel j of the input by s_j
in digital and multiplying its weights by s_j changes nothing in the product and lets all channels use the converters
alike. The price is a digital multiplication a channel, and columns whose scale is set by the weights of an outlier
channel (SmoothQuant, Xiao et al. 2023, does it for INT8). How far to go is decided for each layer on a simulated chip;
``fold_channel_scales`` then spares the multiplications where it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tilewright.compiler.network.trained_layers import TrainedLayer
from tilewright.compiler.observing.observation import Observed
from tilewright.compiler.observing.observe import Case
from tilewright.compiler.observing.simulation import RememberedDraws, error_figure, simulated_error
from tilewright.runtime.chip.parallel import in_parallel
from tilewright.runtime.plan.decisions import Decision, Figure

EXPONENTS = (0.25, 0.5, 0.75, 1.0)
"""Exponents to try in s_j = (largest |x_j| / median over channels)^exponent: all channels move."""
CUTS = (99.0, 95.0, 80.0)
"""Percentiles to try in s_j = max(1, largest |x_j| / percentile over channels): only the largest channels move."""
SMALLEST_SHARE = 1e-3
"""Least size of a channel that counts, in parts of the median over channels."""
UNSCALED = "no channel scale"
LEAST_GAIN = 0.05
"""Share by which the error must fall to be worth a multiplication a channel."""


@torch.inference_mode()
def rescale_channels(cases: Sequence[Case]) -> tuple[dict[str, Tensor], list[Decision]]:
    """Channel scales [inputs] that are worth their cost, by layer, and the decisions.

    cases: the layers whose inputs are converted, on their own targets. Layers that were trained with ranges keep the
    channel scales that these are in units of.
    """
    found = list(in_parallel(_scale, cases))
    scales = {case.layer.name: scale for case, (scale, _) in zip(cases, found, strict=True) if scale is not None}
    return scales, [decision for _, decision in found]


def _trained(case: Case, trained: TrainedLayer) -> tuple[Tensor | None, Decision]:
    """The channel scale that the layer was trained with, which is its own, and no other."""
    scale = trained.whole_scale if case.trained_range is not None else trained.channel_scale
    choice, reason = UNSCALED, "the checkpoint was trained without one, with one range for all its inputs"
    if scale is not None and trained.channel_scale is not None:
        choice, reason = "the channel scale of the checkpoint", "the checkpoint was trained with it"
    elif scale is not None:
        choice, reason = "a scale for each slice of the inputs", "the checkpoint was trained with slices"
    if scale is not None and scale is not trained.channel_scale:
        reason += (
            f"; its {len(trained.slices)} slices of inputs have ranges of their own: with their shares of the largest "
            "in the scale, one range is the same law"
        )
    spread = 1.0 if scale is None else float(scale.max() / scale.min())
    figure = Figure(name="largest scale over the smallest", value=spread, unit="1")
    return scale, Decision(
        made_by="rescale_channels", subject=case.layer.name, choice=choice, reason=reason, figures=[figure]
    )


def _scale(case: Case) -> tuple[Tensor | None, Decision]:
    if case.trained is not None and (case.trained_range is not None or case.trained.channel_scale is not None):
        return _trained(case, case.trained)
    scales: dict[str, Tensor | None] = {UNSCALED: None, **scale_candidates(case.inputs)}
    draws = RememberedDraws(0, 0)
    errors = {name: simulated_error(replace(case, channel_scale=scale), draws) for name, scale in scales.items()}
    best = min(errors, key=errors.__getitem__)
    if errors[best] > errors[UNSCALED] * (1 - LEAST_GAIN):
        best = UNSCALED
    gain = 1 - errors[best] / errors[UNSCALED] if errors[UNSCALED] else 0.0
    reason = (
        f"the error of its outputs falls by {gain:.0%} on a simulated chip with every effect"
        if best != UNSCALED
        else f"no candidate lowers the simulated error by {LEAST_GAIN:.0%}"
    )
    figures = {name: [error_figure(error)] for name, error in errors.items()}
    return scales[best], Decision.among(
        figures, best, made_by="rescale_channels", subject=case.layer.name, reason=reason
    )


def scale_candidates(seen: list[Observed]) -> dict[str, Tensor]:
    """Channel scales s_j [inputs] by name, over all uses.

    Channels that were never driven count as the least driven, and none as driven by less than ``SMALLEST_SHARE`` of the
    median: other inputs, or training, may wake one that the samples do not, and its weights must not be lost then.
    """
    largest = torch.stack([observed.channel_largest for observed in seen]).amax(dim=0)
    driven = largest[largest > 0]
    if not driven.numel():
        return {}
    least = max(float(driven.min()), SMALLEST_SHARE * float(largest.median()))
    largest = largest.clamp(min=least)
    relative = largest / largest.median()
    candidates = {f"channel scale with exponent {exponent:g}": relative**exponent for exponent in EXPONENTS}
    for percentile in CUTS:
        cut = largest.sort().values[round((len(largest) - 1) * percentile / 100)]
        candidates[f"channel scale above percentile {percentile:g}"] = (largest / cut).clamp(min=1.0)
    return candidates
