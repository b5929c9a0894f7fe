"""What a run of a plan costs: energy, time and area, from a preset of sourced figures."""

from tilewright.compiler.cost.estimate import CostEstimate, estimate_cost
from tilewright.compiler.cost.layer_cost import LayerCost, cost_of_layer

__all__ = ["CostEstimate", "LayerCost", "cost_of_layer", "estimate_cost"]
