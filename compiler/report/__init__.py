"""Reports, made from a plan alone: one object, several formats."""

from tilewright.compiler.report.lines import Report
from tilewright.compiler.report.summary import summarise
from tilewright.compiler.report.terminal import print_report

__all__ = ["Report", "print_report", "summarise"]
