"""Cost of a run of a plan: energy, time and area, from a preset of sourced figures."""

from tilewright.compiler.cost.estimate import CostEstimate, cost_of_usual_run, estimate_cost
from tilewright.compiler.cost.generation import GenerationCost, estimate_generation
from tilewright.compiler.cost.layer_cost import LayerCost, cost_of_layer

__all__ = [
    "CostEstimate", "GenerationCost", "LayerCost", "cost_of_layer", "cost_of_usual_run", "estimate_cost",
    "estimate_generation",
]  # fmt: skip
