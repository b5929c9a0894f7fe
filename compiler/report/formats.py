"""Formats of a report: one table of who writes which, and the file it goes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tilewright.compiler.report.chrome_trace import chrome_trace
from tilewright.compiler.report.csv_rows import layers_csv, plans_csv
from tilewright.compiler.report.difference import difference
from tilewright.compiler.report.finite_json import json_text
from tilewright.compiler.report.markdown import markdown
from tilewright.compiler.report.summary import summarise
from tilewright.runtime.plan.plan import Plan, check_is_plan
from tilewright.runtime.storage.atomic_file import check_output_file, write_whole
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import shown_path

ENDINGS = {
    ".html": "html", ".json": "json", ".csv": "csv", ".md": "markdown", ".onnx": "onnx",
}  # fmt: skip
"""Formats by a file's ending."""
SEVERAL = {"html", "csv-summary"}
"""Formats that take more than one plan."""


def write_report(
    plans: Plan | Sequence[Plan], file: str | Path, *, format: str | None = None, overwrite: bool = False
) -> Path:
    """Write a report of a plan as a file, whole or not at all.

    plans: one; two to compare as "html", any number for "csv-summary". format: "html", "json", "csv" (a row a layer),
    "csv-summary" (a row a plan), "markdown", "onnx" (for Netron) or "trace" (for Perfetto); by the file's ending if
    None. Returns the file's path. Raises ``InputError`` for an unknown format or ending, more plans than a format
    takes, and a file that is there already, unless it may be replaced.
    """
    given, file = list(plans) if isinstance(plans, Sequence) and not isinstance(plans, str) else [plans], Path(file)
    for plan in given:
        check_is_plan(plan)
    chosen = check_report(len(given), format, file, overwrite=overwrite)
    content = render(given, chosen)
    write_whole(file, content if isinstance(content, bytes) else content.encode())
    return file


def check_report(count: int, format: str | None, file: Path | None, *, overwrite: bool = False) -> str:
    """The format of a report of so many plans, for a file or to be printed ("terminal" if none is named).

    Raises ``InputError`` as ``write_report`` does.
    """
    chosen = _format(format, file)
    if count > 1 and chosen not in SEVERAL:
        raise InputError(f"format {chosen} is of one plan, {count} were given; several go with html and csv-summary")
    if chosen == "html" and count > 2:
        raise InputError(f"html compares two plans, {count} were given")
    if file is not None:
        check_output_file(file, overwrite=overwrite)
    return chosen


def _format(format: str | None, file: Path | None) -> str:
    known = ["terminal", *WRITERS]
    if format is not None and format not in known:
        raise InputError(f"report format is {format!r}; {nearest(format, known)}")
    if file is None:
        return format or "terminal"
    if format is None and file.suffix.lower() not in ENDINGS:
        raise InputError(
            f"{shown_path(file)} has an ending of no format: known are {', '.join(ENDINGS)}; or name a format"
        )
    if format == "terminal":
        raise InputError(f"format terminal is printed, not written to a file; allowed there: {', '.join(WRITERS)}")
    return format or ENDINGS[file.suffix.lower()]


def render(plans: Sequence[Plan], format: str) -> str | bytes:
    """A report in one of the formats of ``WRITERS``: text, or for ONNX bytes."""
    return WRITERS[format](plans)


def _json(plans: Sequence[Plan]) -> str:
    return json_text(summarise(plans[0]).to_json()) + "\n"


def _html(plans: Sequence[Plan]) -> str:
    from tilewright.compiler.report.html import comparison_page, report_page  # jinja's templates

    if len(plans) == 1:
        return report_page(summarise(plans[0]))
    before, after = plans
    return comparison_page(summarise(before), summarise(after), difference(before, after))


def _onnx(plans: Sequence[Plan]) -> bytes:
    from tilewright.compiler.report.placed_onnx import placed_onnx  # onnx may not be there

    return placed_onnx(plans[0])


def _trace(plans: Sequence[Plan]) -> str:
    return json_text(chrome_trace(summarise(plans[0])), indent=None) + "\n"


WRITERS: dict[str, Callable[[Sequence[Plan]], str | bytes]] = {
    "html": _html,
    "json": _json,
    "csv": lambda plans: layers_csv(summarise(plans[0])),
    "csv-summary": lambda plans: plans_csv([summarise(plan) for plan in plans]),
    "markdown": lambda plans: markdown(summarise(plans[0])),
    "onnx": _onnx,
    "trace": _trace,
}
