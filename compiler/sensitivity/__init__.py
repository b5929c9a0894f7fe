"""How much the output suffers when one layer does: several criteria, each a figure a layer and target."""

from tilewright.compiler.sensitivity.measure import CRITERIA, Sensitivity, measure_sensitivity

__all__ = ["CRITERIA", "Sensitivity", "measure_sensitivity"]
