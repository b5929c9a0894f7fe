"""Results of frontends: a network as a graph over ATen, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, fx

from tilewright.compiler.network.trained_layers import Trained
from tilewright.compiler.network.trained_products import TrainedProduct
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
    """Original network, to compare a plan with."""

    runs_on: str
    """Name and version of the tool that computes it."""
    run: Callable[[Inputs], list[Tensor]]
    """Function from inputs in the graph's order to outputs as the graph gives them."""
    tolerance: float = 1e-4
    """Relative difference that is allowed: larger for a model that itself computes in 16 bits."""


@dataclass(frozen=True)
class Traced:
    """Result of a frontend: the network as a graph over ATen, and what is known of it."""

    graph: fx.GraphModule
    model: ModelIdentity
    inputs: list[InputRecord]
    outputs: list[OutputRecord]
    dimensions: dict[str, DimensionRecord]
    examples: list[Inputs]
    """Inputs of several sizes to compare the graph with the model on; none without weights."""
    expected: list[list[Tensor]]
    """The model's own outputs for the examples."""
    original: Original | None
    calibration_inputs: list[Inputs]
    calibration: Calibration
    parameters: dict[str, Tensor] = field(default_factory=dict)
    """The model's own parameters by its own names, tied ones once."""
    copies: dict[str, str] = field(default_factory=dict)
    """Parameters that the graph reads in place of those stored again under another name, by that name."""
    tokenizer_files: dict[str, bytes] = field(default_factory=dict)
    has_weights: bool = True
    """True if tensors have numbers; those of a model's config alone are on the meta device."""
    size_conditions: list[str] = field(default_factory=list)
    """Conditions that tracing took for true of the sizes that may vary."""
    asked_later: Callable[[], list[str]] = list
    """Function that returns the conditions that passes took for true of sizes that may vary, since tracing."""
    trials: list[tuple[Inputs, list[Tensor]]] = field(default_factory=list)
    """Inputs of sizes at which nothing but a run told that the graph is the model, and the model's outputs."""
    unused_tensors: list[UnusedTensor] = field(default_factory=list)
    """Tensors that the model's files hold beside its weights."""
    trained: Trained = field(default_factory=dict)
    """Input ranges that the model was trained with, by the name of the weight."""
    trained_products: dict[str, TrainedProduct] = field(default_factory=dict)
    """Ranges of the operands of products that the model was trained with, by the product's name."""
    notes: list[str] = field(default_factory=list)
    """Changes that the frontend made, as sentences for the plan."""
