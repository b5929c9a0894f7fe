"""Which layer runs on which target: the least loss under budgets, or the least cost under a loss."""

from tilewright.compiler.assignment.assign import Assigned, assign
from tilewright.compiler.assignment.search import Search, assign_for_accuracy

__all__ = ["Assigned", "Search", "assign", "assign_for_accuracy"]
