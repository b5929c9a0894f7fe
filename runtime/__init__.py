"""What happens on the hardware: plans, programmed chips, drift and noise. Needs no compiler and no transformers."""

from tilewright.runtime.evaluate import evaluate
from tilewright.runtime.plan import Plan, load
from tilewright.runtime.session import Session

__all__ = ["Plan", "Session", "evaluate", "load"]
