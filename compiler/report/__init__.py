"""Reports, made from a plan alone: one object, several formats."""

from tilewright.compiler.report.summary import Report, summarise
from tilewright.compiler.report.terminal import print_report

__all__ = ["Report", "print_report", "summarise"]
