"""Sensitivity of a plan's outputs to each layer on each target, by several criteria."""

from tilewright.compiler.sensitivity.measure import CRITERIA, Sensitivity, measure_sensitivity

__all__ = ["CRITERIA", "Sensitivity", "measure_sensitivity"]
