"""Which layer runs on which target: the least loss under budgets, or the least cost under a loss."""

from tilewright.compiler.assignment.assign import assign
from tilewright.compiler.assignment.search import Search, assign_for_accuracy
from tilewright.compiler.assignment.written import Assigned

__all__ = ["Assigned", "Search", "assign", "assign_for_accuracy"]
