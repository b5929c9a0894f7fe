"""Page of a study: its table and plot, and each variant's accuracy over time with intervals."""

from __future__ import annotations

import base64
from pathlib import Path

from tilewright.compiler.engineering import counted
from tilewright.compiler.report.accuracy_table import accuracy_headings, accuracy_rows
from tilewright.compiler.report.html.accuracy_chart import accuracy_chart
from tilewright.compiler.report.html.rendering import rendered_page
from tilewright.compiler.report.plot_file import check_matplotlib
from tilewright.compiler.report.study_plot import study_svg
from tilewright.compiler.report.study_table import study_table
from tilewright.compiler.studies.study import Study
from tilewright.runtime.storage.atomic_file import check_output_file, write_whole
from tilewright.targets.errors import InputError
from tilewright.targets.paths import shown_path

ENDINGS = (".html", ".htm")


def write_study_page(study: Study, path: str | Path, *, overwrite: bool = False) -> None:
    """Write a study as one HTML file that needs nothing else: its table and plot, and each variant with its intervals.

    Raises ``InputError`` for another ending than .html, a place that cannot be written, a file that is there already,
    unless it may be replaced, and without matplotlib.
    """
    check_page(Path(path), overwrite=overwrite)
    write_whole(Path(path), study_page(study).encode())


def check_page(path: Path, *, overwrite: bool) -> None:
    """Raise ``InputError`` unless a page can be written there, before anything is measured."""
    if path.suffix.lower() not in ENDINGS:
        raise InputError(f"a page is written as .html, and {shown_path(path)} has the ending {path.suffix!r}")
    check_output_file(path, overwrite=overwrite)
    check_matplotlib()


def study_page(study: Study) -> str:
    """Page of a study as HTML."""
    first, table = study.points[0].evaluation, study_table(study)
    cards = [
        ("task", first.task), ("metric", first.metric), ("examples", f"{first.examples:,}"),
        ("variants", str(len(study.points))), ("chips, at most", str(max(x.evaluation.repeats for x in study.points))),
        ("seed", str(first.seed)), ("digital reference", f"{first.digital:.2f}"),
    ]  # fmt: skip
    variants = []
    for one in study.points:
        evaluation = one.evaluation.to_json()
        variants.append({
            "name": one.name, "evaluation": evaluation, "chart": accuracy_chart(evaluation),
            "headings": accuracy_headings(evaluation), "rows": accuracy_rows(evaluation),
        })  # fmt: skip
    svg = base64.b64encode(study_svg(study).encode()).decode()
    return rendered_page(
        "study.html.j2", {}, title=study.title, cards=cards, headings=table.headings, rows=table.text_rows(),
        variants=variants, plot=f"data:image/svg+xml;base64,{svg}",
        plotted=f"{first.metric} of {counted(len(study.points), 'variant')}, as in the table",
    )  # fmt: skip
