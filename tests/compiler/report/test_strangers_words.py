"""Words in a plan stay words: in terminals, tables, CSV, Markdown, JSON and pages nothing in them does anything."""

import csv
import io
import json

import pytest
from rich.console import Console

from tilewright.compiler.report.csv_rows import layers_csv, plans_csv
from tilewright.compiler.report.explanation import explain
from tilewright.compiler.report.finite_json import json_text
from tilewright.compiler.report.html import report_page
from tilewright.compiler.report.markdown import markdown
from tilewright.compiler.report.plain_console import PlainConsole
from tilewright.compiler.report.summary import summarise
from tilewright.compiler.report.terminal import print_report
from tilewright.runtime.measuring.kept_evaluations import FILE
from tilewright.runtime.plan.plan import Plan
from tilewright.targets.draws_version import VERSION

ESCAPES = "\x1b]0;title\x07\x1b[2J\x9b31m\x1b]52;c;ZWNobw==\x07\u202ereversed"
MARKUP = "[link=https://evil.example]click[/link] [/] [bold red] :boom:"
FORMULA = "=cmd|'/c calc'!A1"


def with_words(plan, words):
    """The plan with these words wherever a plan has text that nothing else depends on."""
    content = plan.document.model_dump(mode="json")
    content["model"] |= {"name": words, "architecture": words}
    content["calibration"]["source"] = words
    content["notes"] = [words]
    for layer in content["layers"]:
        layer["reason"] = words
    for weight in content["weights_of_model"]:
        weight |= {"name": words, "reason": words}
    figure = {"name": words, "value": 1.0, "unit": words}
    of_options = (d for layer in content["layers"] for d in layer["options"][0]["decisions"])
    for decision in [*content["decisions"], *of_options]:
        decision |= {"choice": words, "reason": words, "made_by": words, "figures": [figure]}
    content["check"] = {"against": words, "sizes": [], "largest_relative_error": 0.0, "tolerance": 1e-3}
    content["assignment"] = {
        "method": words, "criterion": words, "seconds": 1.0, "minimise": words, "budgets": {"loss": 1.0},
        "predicted": {"loss": 1.0}, "measured": None, "accuracy": None, "compared": {words: {"loss": 1.0}},
    }  # fmt: skip
    return Plan(type(plan.document).model_validate(content), plan.tensors)


@pytest.fixture(scope="module", params=[ESCAPES, MARKUP, FORMULA, "\t=1+1", "\r@SUM(1)"])
def told(request, small_plan):
    plan = with_words(small_plan, request.param)
    return request.param, plan, summarise(plan)


def printed(report, console):
    console.file = io.StringIO()
    print_report(report, console, every_weight=True)
    return console.file.getvalue()


def harmless(text):
    return all(line.isprintable() for line in text.split("\n"))


def test_terminals(told):
    words, plan, report = told
    for console in (PlainConsole(width=500), Console(width=500)):
        text = printed(report, console)
        assert harmless(text)
        if words == MARKUP:
            assert text.count(MARKUP) > 5
    for sentence in explain(plan, plan.document.layers[0].name).sentences:
        text = io.StringIO()
        PlainConsole(file=text, width=2000).print(sentence)
        assert harmless(text.getvalue())


def test_tables_of_words_are_plain():
    from rich.table import Table

    table = Table(title=MARKUP)
    table.add_column(ESCAPES)
    table.add_row(MARKUP)
    text = io.StringIO()
    PlainConsole(file=text, width=200).print(table)
    assert harmless(text.getvalue())
    assert text.getvalue().count(MARKUP) == 2


def test_csv(told):
    words, _plan, report = told
    for text in (layers_csv(report), plans_csv([report])):
        assert harmless(text)
        _header, *rows = csv.reader(io.StringIO(text))
        assert rows
        assert not any(cell.lstrip()[:1] in ("=", "+", "@") for row in rows for cell in row)
        if words == FORMULA:
            assert rows[0][0] == f"'{FORMULA}"
    negative = plans_csv([type(report)(**{**vars(report), "utilisation": -0.5})])
    assert ",-0.5," in negative  # a number stays one


def test_markdown_json_and_pages(told):
    words, _plan, report = told
    assert harmless(markdown(report))
    if words == MARKUP:
        assert "[link" not in markdown(report).replace("\\[", "")
    text = json_text(report.to_json())
    assert harmless(text)
    assert json.loads(text)["model"] == words
    assert harmless(report_page(report))


def test_kept_evaluations_are_a_strangers_too(small_plan, tmp_path):
    plan = Plan(small_plan.document, small_plan.tensors, folder=tmp_path)
    point = {"time": ESCAPES, "seconds": 1.0, "mean": 50.0, "standard_error": None, "values": [50.0]}
    good = {
        "plan": plan.sha256, "task": "stsb", "metric": MARKUP, "digital": 60.0, "examples": 3, "repeats": 1,
        "drift_compensation": True, "seed": 0, "points": [point], "draws": VERSION,
    }  # fmt: skip
    lacking = {key: value for key, value in point.items() if key != "standard_error"}
    bad = [
        {**good, "drift_compensation": None},
        {key: value for key, value in good.items() if key != "draws"},  # of the first random numbers: other chips
        {**good, "digital": 10**400},
        {**good, "points": [lacking]},
        {**good, "points": [{**point, "mean": True}]},
    ]
    lines = [json.dumps(one) for one in [*bad, good]]
    (tmp_path / FILE).write_text("\n".join(["[" * 100_000, *lines]) + "\n")
    report = summarise(plan)
    assert report.evaluations == [{key: value for key, value in good.items() if key not in ("plan", "draws")}]
    for text in (printed(report, PlainConsole(width=200)), markdown(report), plans_csv([report]), report_page(report)):
        assert harmless(text)
