from .compiler.assignment import assign as assign
from .compiler.assignment import assign_for_accuracy as assign_for_accuracy
from .compiler.cost import estimate_cost as estimate_cost
from .compiler.driver import compile as compile
from .compiler.report import summarise as summarise
from .compiler.report.difference import difference as difference
from .compiler.report.explanation import explain as explain
from .compiler.sensitivity import measure_sensitivity as measure_sensitivity
from .runtime.execution.session import Session as Session
from .runtime.measuring.characterize import characterize as characterize
from .runtime.measuring.evaluate import evaluate as evaluate
from .runtime.measuring.operations import count_operations as count_operations
from .runtime.plan.plan import Plan as Plan
from .runtime.plan.plan import load as load
from .targets import InputError as InputError
from .targets import Target as Target
from .targets import load_chip as load_chip
from .targets import load_programming as load_programming
from .targets import load_target as load_target

__version__: str
