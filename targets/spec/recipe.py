"""Training recipes: what hardware-aware training imposes on a network, and how it is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tilewright.targets.quantity import Count, Quantity, Rule
from tilewright.targets.spec.description import Description, Document

Strength = Annotated[Quantity, Rule("1", 0, 100)]


class AdditiveNoise(Description):
    """Noise of one deviation on every weight, in parts of the largest weight of its column (aihwkit ADD_NORMAL)."""

    kind: Literal["additive"]
    strength: Strength


class DeviceNoise(Description):
    """Noise of one write of the target's own devices, ``strength`` times as large (Spoon 2021; Rasch 2023)."""

    kind: Literal["programming"]
    strength: Strength


class PolynomialNoise(Description):
    """Noise of deviation strength · (constant + linear g + quadratic g²), g the normalised size of the weight."""

    kind: Literal["polynomial"]
    strength: Strength
    constant: Annotated[Quantity, Rule("1", -10, 10)]
    linear: Annotated[Quantity, Rule("1", -10, 10)]
    quadratic: Annotated[Quantity, Rule("1", -10, 10)]


class MultiplicativeNoise(Description):
    """Noise in proportion to each weight, of deviation strength · |w|."""

    kind: Literal["multiplicative"]
    strength: Strength


WeightNoise = Annotated[
    AdditiveNoise | DeviceNoise | PolynomialNoise | MultiplicativeNoise, Field(discriminator="kind")
]


class FixedClip(Description):
    """Clipping of weights at ±value, after each step."""

    rule: Literal["fixed"]
    value: Annotated[Quantity, Rule("1", 1e-6, 1e6)]


class ClipAtDeviations(Description):
    """Clipping of weights at so many standard deviations of their matrix or column, after each step."""

    rule: Literal["matrix_deviations", "column_deviations"]
    deviations: Annotated[Quantity, Rule("1", 0.1, 100)]


RecipeClipping = Annotated[FixedClip | ClipAtDeviations, Field(discriminator="rule")]


class CalibratedStart(Description):
    """Start of the input ranges at those that compiling chooses by the simulated error on sample inputs."""

    rule: Literal["calibrated"]


class DeviationStart(Description):
    """Start of the input ranges at so many standard deviations of the inputs, over the first passes (AIHWKit)."""

    rule: Literal["deviations"]
    deviations: Annotated[Quantity, Rule("1", 0.1, 100)]
    passes: Annotated[Count, Rule("pass", 1, 1_000_000)]


class FixedRanges(Description):
    """Input ranges that stay as they start."""

    rule: Literal["fixed"]


class GradientRanges(Description):
    """Input ranges learned by AIHWKit's rule, in the optimiser of the weights: made for SGD.

    A range grows with the gradients that ask for it; it shrinks by ``decay`` while at least ``covered`` of the inputs
    lie within. Under Adam a gradient's size does not count, so the decay is a step of full size: use ``bounded`` there.
    """

    rule: Literal["gradient"]
    decay: Annotated[Quantity, Rule("1", 0, 10)]
    covered: Annotated[Quantity, Rule("1", 0, 1)]


class BoundedRanges(Description):
    """Input ranges learned outside the optimiser: each pass moves the logarithm of a range by at most ``step``.

    It grows by the gradients that ask for it, in parts of their running size; it shrinks by ``decay`` · step while at
    least ``covered`` of the inputs lie within.
    """

    rule: Literal["bounded"]
    step: Annotated[Quantity, Rule("1", 0, 1)]
    decay: Annotated[Quantity, Rule("1", 0, 1)]
    covered: Annotated[Quantity, Rule("1", 0, 1)]


class RecipeRanges(Description):
    """Input ranges of layers: where they start and how they are learned."""

    start: Annotated[CalibratedStart | DeviationStart, Field(discriminator="rule")]
    learning: Annotated[FixedRanges | GradientRanges | BoundedRanges, Field(discriminator="rule")]


class Distillation(Description):
    """Loss (1 - share) · task + share · T² · KL(teacher ‖ student), logits over the temperature T (Hinton 2015)."""

    temperature: Annotated[Quantity, Rule("1", 0.01, 1000)]
    share: Annotated[Quantity, Rule("1", 0, 1)]


class Adapter(Description):
    """Adapter beside each layer on tiles of a frozen network: W x + alpha / rank · B A x (LoRA, Hu et al. 2021)."""

    rank: Annotated[Count, Rule("1", 1, 4096)]
    alpha: Annotated[Count, Rule("1", 1, 1_000_000)]
    dropout: Annotated[Quantity, Rule("1", 0, 0.99)] = Field(description="share of A's inputs that are zero for a pass")
    learning_rate: Annotated[Quantity, Rule("1", 1e-12, 10)] = Field(
        description="largest rate, in place of the schedule's"
    )


class Schedule(Description):
    """Optimiser and its schedule: the defaults of ``tilewright train``. Learning rates fall linearly to zero."""

    optimiser: Literal["adamw", "sgd"]
    learning_rate: Annotated[Quantity, Rule("1", 1e-12, 10)]
    weight_decay: Annotated[Quantity, Rule("1", 0, 10)]
    momentum: Annotated[Quantity, Rule("1", 0, 1)] | None = Field(None, description="momentum of sgd")
    warm_up: Annotated[Quantity, Rule("1", 0, 1)] = Field(description="share of the steps over which it rises from 0")
    batch_size: Annotated[Count, Rule("sample", 1, 1_000_000)]
    epochs: Annotated[Quantity, Rule("epoch", 1e-6, 1e6)]


class Recipe(Document):
    """A recipe of hardware-aware training: what is imposed on a network while it trains, and the schedule.

    kind: "recipe". weight_clipping: after each step of the optimiser; null for none. input_ranges: where they start and
    how they are learned. distillation: from the digital model; null for none. adapter: what ``train`` is to make where
    it trains one. schedule: optimiser, rates, epochs.
    """

    kind: Literal["recipe"]
    weight_noise: WeightNoise | None = Field(
        description="noise of the weights, drawn anew each pass, one draw for the whole batch"
    )
    drift: Annotated[Quantity, Rule("s", 0, 1e12)] | None = Field(
        None,
        description="time since programming whose mean drift makes sums smaller, before the ADC; null for none",
    )
    ramp: Annotated[Quantity, Rule("1", 0, 1)] = Field(
        description="share of the training over which the weight noise, and the logarithm of the drift's time, grow "
        "from 0"
    )
    dropped_weights: Annotated[Quantity, Rule("1", 0, 0.99)] = Field(
        description="probability that a weight is zero for a pass, after the noise (drop-connect, without rescaling)"
    )
    backward: Literal["noisy", "clean"] = Field(
        description="weights that carry the gradient back to a layer's inputs: those with the pass's noise, or without"
    )
    output_noise: Annotated[Quantity, Rule(("LSB", "1"), 0, 100)] | None = Field(
        description="noise before the ADC, in its steps or in units of the normalised sum; null: the target's"
    )
    read_noise: bool = Field(description="true if the target's short-term read noise is imposed; costs a product")
    converters: bool = Field(description="true if inputs and outputs are converted as on the target")
    weight_clipping: RecipeClipping | None
    input_ranges: RecipeRanges
    attention: Literal["learned", "fixed", "full_precision"] = Field(
        description="ranges of the operands of attention on the chip's units: learned (LSQ), as calibrated, or not used"
    )
    distillation: Distillation | None
    adapter: Adapter | None = None
    schedule: Schedule

    @property
    def imposes_nothing(self) -> bool:
        """True if a network that trains by it computes what it computes without."""
        silent = self.output_noise is not None and not self.output_noise and not self.read_noise
        exact = not self.converters and self.attention == "full_precision"
        return self.weight_noise is None and not self.drift and not self.dropped_weights and silent and exact
