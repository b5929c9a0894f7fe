"""What frontends give: a network as a graph over ATen, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, fx

from tilewright.runtime.plan.records import (
    Calibration,
    DimensionRecord,
    InputRecord,
    ModelIdentity,
    OutputRecord,
    UnusedTensor,
)

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class Original:
    """The network itself, to compare with."""

    runs_on: str
    """What computes it, with its version."""
    run: Callable[[Inputs], list[Tensor]]
    """Inputs in the graph's order -> its outputs as the graph gives them."""
    tolerance: float = 1e-4
    """The relative difference that is allowed: larger for a model that itself computes in 16 bits."""


@dataclass
class Traced:
    """What a frontend gives: the network as a graph over ATen, and what is known of it."""

    graph: fx.GraphModule
    model: ModelIdentity
    inputs: list[InputRecord]
    outputs: list[OutputRecord]
    dimensions: dict[str, DimensionRecord]
    examples: list[Inputs]
    """Inputs of several sizes to compare the graph with the model on; none without weights."""
    expected: list[list[Tensor]]
    """The model's own outputs for them."""
    original: Original | None
    calibration_inputs: list[Inputs]
    calibration: Calibration
    parameters: dict[str, Tensor] = field(default_factory=dict)
    """The model's own parameters by its own names, tied ones once; their shapes alone once the graph was matched."""
    copies: dict[str, str] = field(default_factory=dict)
    """Parameters that are stored again under another name -> the one that the graph reads."""
    tokenizer_files: dict[str, bytes] = field(default_factory=dict)
    has_weights: bool = True
    """Whether tensors have numbers. Those of a model's config alone are on the meta device."""
    size_conditions: list[str] = field(default_factory=list)
    """Conditions that tracing took for true of the sizes that may vary."""
    asked_later: Callable[[], list[str]] = list
    """Function that returns the conditions that passes took for true of sizes that may vary, since tracing."""
    trials: list[tuple[Inputs, list[Tensor]]] = field(default_factory=list)
    """Inputs of sizes at which nothing but a run told that the graph is the model, and the model's outputs."""
    unused_tensors: list[UnusedTensor] = field(default_factory=list)
    """Tensors that the model's files hold beside its weights."""
    notes: list[str] = field(default_factory=list)
    """What the frontend changed on the way, for the plan."""
