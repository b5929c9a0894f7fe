"""The report as a page: one file that needs nothing else."""

from tilewright.compiler.report.html.page import comparison_page, report_page

__all__ = ["comparison_page", "report_page"]
