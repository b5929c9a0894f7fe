"""Figures are the same in every format, from one object; and what a stranger's plan may not do to them."""

import csv
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import torch
from torch import nn

import tilewright
from tests.compiler.report.test_report import printed
from tests.conftest import padded_batch
from tests.narrowing import present
from tilewright.compiler.report.chrome_trace import chrome_trace
from tilewright.compiler.report.column import Format, shown_in
from tilewright.compiler.report.csv_rows import layers_csv, plans_csv
from tilewright.compiler.report.difference import difference
from tilewright.compiler.report.html import comparison_page, report_page
from tilewright.compiler.report.layer_table import LAYERS
from tilewright.compiler.report.markdown import markdown
from tilewright.compiler.report.placed_onnx import placed_onnx
from tilewright.compiler.report.summary import summarise
from tilewright.compiler.report.tables import PLANS
from tilewright.compiler.report.totals import totals
from tilewright.runtime.plan.blocks import positions_of
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_chip, load_target

SNEAKY = "<script>alert(1)</script> </script> {{ 7*7 }} | `x` =cmd() [a](b) \u2028 ü"


@pytest.fixture(scope="module")
def plans(small_bert_folder, tmp_path_factory):
    """A plan as compiled, and one that was assigned, saved and evaluated."""
    plan = tilewright.compile(small_bert_folder, "pcm-512-mixed", name=SNEAKY)
    found = tilewright.measure_sensitivity(plan, ["gradient"], inputs=padded_batch(4, 12), repeats=2)
    made = tilewright.assign(plan, found, fixed={"*.layer.0.*": "pcm-512"}).plan
    folder = made.save(tmp_path_factory.mktemp("plans") / "plan")
    return plan, tilewright.load(folder)


@pytest.fixture(scope="module")
def report(plans):
    return summarise(plans[1])


class Text(HTMLParser):
    """The words and elements of a page."""

    def __init__(self, page):
        super().__init__()
        self.words, self.tags, self.attributes = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.words.append(data)


def test_every_format_has_the_same_figures(report):
    page, terminal = " ".join(Text(report_page(report)).words), " ".join(printed(report, 400).split())
    text, as_json = markdown(report), report.to_json()
    rows = list(csv.DictReader(io.StringIO(layers_csv(report))))
    assert [row["name"] for row in rows] == [layer.name for layer in report.layers]
    for layer, row, line in zip(report.layers, rows, as_json["layers"], strict=True):
        for column in shown_in(LAYERS, Format.CSV):
            cell = column.cell(layer)
            assert row[column.key].lstrip("'") == cell.value, column.key
            assert cell.text in page, column.key
        assert line["energy_nj"] == layer.energy_nj
        assert line["tiles"] == layer.tiles
        assert layer.name in terminal
        assert layer.name in text
        assert layer.target in terminal
    for name, value, _ in totals(report):
        assert value in page, name
        assert value in text.replace("\\", ""), name
    assert f"{report.tiles} on 1 chip" in terminal
    assert f"{report.parameters:,}" in terminal
    (row,) = csv.DictReader(io.StringIO(plans_csv([report])))
    assert float(row["energy_nj"]) == report.cost.energy_nj
    assert int(row["tiles"]) == report.tiles
    assert float(row["predicted_loss"]) == report.assignment.predicted["loss"]
    trace = chrome_trace(report)
    ends = [event["ts"] + event["dur"] for event in trace["traceEvents"] if event["ph"] == "X"]
    assert max(ends) == pytest.approx(report.cost.latency_ns / 1e3)
    assert len(ends) == len(report.calls) == len(report.layers) + len(report.matmuls)


def test_the_page_is_one_file_and_names_are_text(report):
    page = report_page(report)
    found = Text(page)
    assert found.tags.count("script") == 2
    assert "iframe" not in found.tags
    assert not [
        value for key, value in found.attributes if key in ("src", "href") and not value.startswith(("#", "data:"))
    ]
    assert not [key for key, _ in found.attributes if key.startswith("on")]
    assert "http" not in page.replace("http-equiv", "")
    heading = present(re.search("<h1>(.*?)</h1>", page, re.DOTALL)).group(1)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in heading
    assert "{{ 7*7 }}" in heading
    data = present(re.search('<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)).group(1)
    assert set(json.loads(data)) == {"layers", "mesh", "blocks", "decisions"}
    assert "<" not in data


def test_every_section_is_there_or_not_needed(report, small_plan):
    def sections(plan_report):
        return {value for key, value in Text(report_page(plan_report)).attributes if key == "id"}

    always = {"summary", "layers", "network", "cost", "accuracy", "calibration", "decisions"}
    assert always | {"map", "sensitivity"} <= sections(report)
    unmeasured = summarise(
        tilewright.Plan(small_plan.document, small_plan.tensors)
    )  # other tests measure in its folder
    assert always | {"map"} <= sections(unmeasured)
    assert "sensitivity" not in sections(unmeasured)
    assert "map" not in sections(summarise(tilewright.compile(nn.ReLU(), example_inputs=torch.ones(2, 3))))


def test_plans_without_costs_or_tiles_have_pages_too(plans):
    document = plans[0].document.model_copy(
        update={"chip": load_chip("pcm-512-mixed").model_copy(update={"cost": None})}
    )
    bare = summarise(tilewright.Plan(document, plans[0].tensors))
    assert bare.cost is None
    assert "Nothing is known of this hardware" in report_page(bare)
    assert "nothing is known of this hardware's cost" in " ".join(printed(bare).split())
    with pytest.raises(InputError, match="it has no cost preset"):
        chrome_trace(bare)
    assert all(line.split(",")[-1] is not None for line in layers_csv(bare).splitlines())
    digital = tilewright.compile(nn.Linear(4, 4), "digital-int8", example_inputs=torch.randn(8, 4))
    assert "on digital units" in report_page(summarise(digital))


def test_markdown_keeps_words_as_words(report):
    text = markdown(report)
    assert "<script>" not in text.replace("\\<script\\>", "")
    assert "\\[a\\](b)" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in table if "encoder" in line}) == 1


def test_csv_rows_of_several_plans_join(plans):
    rows = list(csv.reader(io.StringIO(plans_csv([summarise(plan) for plan in plans]))))
    assert rows[0] == [column.key for column in shown_in(PLANS, Format.CSV)]
    assert len(rows) == 3
    one, other = (list(csv.reader(io.StringIO(plans_csv([summarise(plan)])))) for plan in plans)
    assert [one[1], other[1]] == rows[1:], "a file a run, joined without its header, is the same"
    formula = tilewright.compile(nn.Linear(3, 3), example_inputs=torch.ones(2, 3), name="=1+1")
    assert plans_csv([summarise(formula)]).splitlines()[1].startswith("'=1+1,")


def test_the_comparison_names_what_moved(plans):
    one, other = (summarise(plan) for plan in plans)
    page = comparison_page(one, other, difference(*plans))
    moved = [a.name for a, b in zip(one.layers, other.layers, strict=True) if a.target != b.target]
    assert moved
    assert page.count('data-target="changed"') == len(moved)
    assert Text(page).tags.count("script") == 2
    assert "<td>energy</td>" in page
    assert "energy_nj" not in page


def test_the_onnx_file_shows_where_everything_is(plans):
    onnx = pytest.importorskip("onnx")
    plan = plans[1]
    model = onnx.load_from_string(placed_onnx(plan))
    onnx.checker.check_model(model)
    nodes = {node.name: node for node in model.graph.node}
    calls = [record for record in plan.document.graph if record.op == "call_module"]
    assert {record.name for record in calls} <= set(nodes)
    shown = {}
    for node in model.graph.node:
        attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
        if "layer" in attributes:
            shown[attributes["layer"].decode()] = (attributes["target"].decode(), attributes["tiles"])
    assert {name: target for name, (target, _) in shown.items()} == {
        layer.name: layer.target for layer in plan.document.layers
    }
    first = next(layer for layer in plan.document.layers if layer.tiles)
    assert shown[first.name][1][0].decode() == str(next(positions_of(first, plan.document.chip)))
    made = {output for node in model.graph.node for output in node.output} | {i.name for i in model.graph.input}
    assert all(name in made for node in model.graph.node for name in node.input), "every edge has two ends"


def test_notebooks_show_plans(plans):
    html = plans[0]._repr_html_()
    assert html.startswith("<table>")
    assert "&lt;script&gt;" in html
    assert "pcm-512-mixed" in html


def test_notebooks_show_the_sums(report):
    html = report._repr_html_()
    assert html.startswith("<table>")
    assert "&lt;script&gt;" in html
    assert f"<td>{report.tiles}</td>" in html


def test_evaluations_are_kept_and_shown(plans, tmp_path):
    plan = tilewright.load(plans[0].save(tmp_path / "plan"))
    (tmp_path / "data.tsv").write_text("sentence1\tsentence2\tscore\n" + "a\tb\t1\nc\td\t2\ne\tf\t3\n")
    points = [{"time": "1d", "seconds": 86400.0, "values": [80.0, 82.0], "mean": 81.0, "standard_error": 1.0}]
    from tilewright.runtime.measuring.kept_evaluations import FILE, keep_evaluation, kept_evaluations

    evaluation = {"task": "stsb", "metric": "Spearman", "examples": 3, "seed": 0, "repeats": 2,
                  "drift_compensation": True, "digital": 90.0, "points": points}  # fmt: skip
    keep_evaluation(plan, evaluation)
    keep_evaluation(plan, {**evaluation, "digital": 91.0})  # the same settings: takes its place
    keep_evaluation(plan, {**evaluation, "seed": 1})
    assert [(one["seed"], one["digital"]) for one in kept_evaluations(plan)] == [(0, 91.0), (1, 90.0)]
    with (tmp_path / "plan" / FILE).open("a") as file:
        file.write('{"plan": 3}\nnonsense\n[]\n{"plan": "x", "task": "<b>", "metric": "y", "points": 1}\n')
    report = summarise(tilewright.load(tmp_path / "plan"))
    assert len(report.evaluations) == 2
    assert "81.00" in report_page(report)
    (accuracy,) = [(value, note) for name, value, note in totals(report) if name == "accuracy"]
    assert accuracy == ("81.00", "Spearman after 1d, 3 examples, 2 chips; digital 90.00")
    line = "  accuracy     Spearman 81.00 ± 1.00 after 1d; digital 91.00 (stsb, 3 examples, 2 chips, seed 0)"
    assert line in printed(report).splitlines()
    (row,) = csv.DictReader(io.StringIO(plans_csv([report])))
    assert (row["accuracy_time"], float(row["accuracy_mean"])) == ("1d", 81.0)
    other = tilewright.load(plans[1].save(tmp_path / "other"))
    (tmp_path / "other" / FILE).write_bytes((tmp_path / "plan" / FILE).read_bytes())
    assert summarise(other).evaluations == [], "they are of another plan"


def test_a_large_plan_has_a_small_page():
    changes = {"tile.rows": 8, "tile.columns": 8, "chip.mesh_rows": 50, "chip.mesh_columns": 50}
    plan = tilewright.compile(nn.Linear(400, 400), load_target("pcm-512", changes), example_inputs=torch.randn(8, 400))
    assert plan.document.placement.tiles == 2500
    assert len(report_page(summarise(plan))) < 500_000


def test_reports_need_neither_the_model_nor_what_compiles_it(plans, tmp_path):
    """Reports are made in a process that cannot import transformers, onnx or the frontends."""
    plans[1].save(tmp_path / "plan")
    code = (
        "import sys\n"
        "for name in ('transformers', 'onnx', 'onnxruntime', 'matplotlib'):\n"
        "    sys.modules[name] = None\n"
        "sys.argv = ['tilewright', 'report', sys.argv[1], '-o', sys.argv[2]]\n"
        "from tilewright.compiler.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as leaving:\n"
        "    assert not leaving.code\n"
        "assert not any('frontends' in name for name in sys.modules)\n"
    )
    for ending in ("html", "json", "csv", "md"):
        file = tmp_path / f"report.{ending}"
        done = subprocess.run(
            [sys.executable, "-c", code, tmp_path / "plan", file], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert file.stat().st_size > 500


def test_kept_sensitivities_are_shown_of_the_target_that_a_layer_is_on(plans, tmp_path):
    plan = tilewright.load(plans[1].save(tmp_path / "plan"))
    found = tilewright.measure_sensitivity(plan, ["product-error"], inputs=padded_batch(4, 12), repeats=1)
    report = summarise(tilewright.load(tmp_path / "plan"))
    for layer in report.layers:
        assert layer.sensitivities == {"product-error": found.of("product-error")[layer.name, layer.target]}
    page = report_page(report)
    assert "product-error" in page
    assert "gradient, by which targets were chosen" in page
    (tmp_path / "plan" / "sensitivity.jsonl").write_text('nonsense\n[]\n{"value": "x"}\n{"value": 1, "plan": []}\n')
    assert not any(layer.sensitivities for layer in summarise(tilewright.load(tmp_path / "plan")).layers)
