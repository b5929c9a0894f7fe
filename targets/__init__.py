"""What the hardware is: validated target descriptions and conductance statistics. Imports no other part."""

from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_target, parse_target, target_names
from tilewright.targets.spec import Target

__all__ = ["InputError", "Target", "load_target", "parse_target", "target_names"]
