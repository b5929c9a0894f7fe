"""The table of accuracy over time: whole in 100 columns, in narrow terminals, of old and new evaluations."""

import csv
import io

import pytest

import tilewright
from tilewright.compiler.report.accuracy_table import accuracy_rows, accuracy_table
from tilewright.compiler.report.csv_rows import plans_csv
from tilewright.compiler.report.html import report_page
from tilewright.compiler.report.plain_console import PlainConsole
from tilewright.compiler.report.terminal import print_report
from tilewright.compiler.report.totals import totals
from tilewright.runtime.measuring.kept_evaluations import keep_evaluation
from tilewright.runtime.measuring.uncertainty import Estimate, Interval


def evaluation(scale=1.0):
    both = Interval(76.78 * scale, 90.34 * scale)
    points = [
        tilewright.TimePoint(
            "1mo", 2592000.0, [82.12 * scale, 85.0 * scale], Interval(76.02 * scale, 88.45 * scale), both,
            Estimate(-5.0, 1.0), Estimate(0.886, 0.01, None, Interval(0.824, 0.9949)), "cannot be told",
        )
    ]  # fmt: skip
    return tilewright.Evaluation(
        "stsb", "Spearman", 0.0, True, "", 100, 0, 2, True, 94.33 * scale, points, both, 200, 3, 0.99, 93.39 * scale
    )


def printed(content, width):
    file = io.StringIO()
    PlainConsole(file=file, width=width).print(accuracy_table(content, "Spearman: stsb, 100 examples, 2 chips, seed 0"))
    return file.getvalue()


def test_it_is_whole_in_a_hundred_columns():
    text = printed(evaluation().to_json(), 100)
    (line,) = (line.strip() for line in text.splitlines() if "1mo" in line)
    for part in ("83.56 ± 1.44", "76.02 to 88.45", "76.78 to 90.34", "88.6% (82.4% to 99.5%)", "cannot be told"):
        assert part in line
    assert "94.33" in text
    assert "A* ≥ 0.99" in text


@pytest.mark.parametrize(("scale", "width"), [(1.0, 70), (100.0, 80), (1000.0, 100)])
def test_nothing_is_cut_in_a_narrow_terminal(scale, width):
    content = evaluation(scale).to_json()
    text = printed(content, width)
    assert "…" not in text
    words = [word for row in accuracy_rows(content) for cell in row for word in cell.split()]
    assert set(words) <= set(text.split())


def test_an_evaluation_of_before_has_what_it_knows():
    point = {"time": "1d", "seconds": 86400.0, "values": [80.0], "mean": 80.0, "standard_error": None}
    assert accuracy_rows({"digital": 90.0, "points": [point]}) == [
        ["digital", "90.00", "", "", "", ""],
        ["1d", "80.00", "", "", "", ""],
    ]


def test_every_report_tells_how_sure_it_is(small_plan, tmp_path):
    plan = tilewright.load(small_plan.save(tmp_path / "plan"))
    keep_evaluation(plan, evaluation().to_json())
    report = tilewright.summarise(plan)
    assert report.evaluations == [evaluation().to_json()]
    page = report_page(report)
    for part in ("Spearman: stsb", "76.78 to 90.34", "88.6% (82.4% to 99.5%)", "cannot be told", 'class="iso"',
                 "A* 99% 93.39", *evaluation().notes):  # fmt: skip
        assert part in page
    file = io.StringIO()
    print_report(report, PlainConsole(file=file, width=300))
    said = "95 % 76.78 to 90.34; A* 88.6% (82.4% to 99.5%); A* ≥ 0.99 cannot be told"
    assert said in file.getvalue()
    (note,) = [note for name, _, note in totals(report) if name == "accuracy"]
    assert note.endswith(said)
    (row,) = csv.DictReader(io.StringIO(plans_csv([report])))
    figures = [float(row[f"accuracy_{key}"]) for key in ("low", "high", "normalised")]
    assert figures == [76.78, 90.34, 0.886]
    assert row["accuracy_iso"] == "cannot be told"
