"""Studies: variants of a chip, each measured as evaluate does; their tables and plots."""

import json
from dataclasses import replace
from html import escape
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from typer.testing import CliRunner

import tilewright
from tests import lora_adapters
from tests.runtime.measuring.test_workers import right
from tilewright.compiler.cli.app import app
from tilewright.compiler.report.study_plot import plot_study
from tilewright.compiler.report.study_table import study_table
from tilewright.compiler.report.written_table import Figure, WrittenTable
from tilewright.compiler.studies.effects import GROUPS, ablations, effects_of
from tilewright.compiler.studies.study import ablate, sweep
from tilewright.compiler.studies.variations import changed_chip, values_of, variants_of
from tilewright.targets.errors import InputError

GIVEN: dict[str, Any] = {
    "metric": right, "inputs": {"x": lora_adapters.inputs()}, "labels": torch.arange(6) % lora_adapters.CLASSES,
    "times": ("1s", "1mo"), "repeats": 2, "resamples": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def plan():
    return tilewright.compile(lora_adapters.Classifier().eval(), example_inputs={"x": lora_adapters.inputs()})


@pytest.fixture(scope="module")
def swept(plan):
    return sweep(plan, {"tile.adc.bits": "6..10..4", "device.programming.scale": [0, 1]}, **GIVEN)


def test_each_variant_is_the_plan_on_that_chip(plan, swept, tmp_path):
    assert swept.varied == ["tile.adc.bits", "device.programming.scale"]
    assert [one.name for one in swept.points][:2] == [
        "tile.adc.bits=6, device.programming.scale=0", "tile.adc.bits=6, device.programming.scale=1",
    ]  # fmt: skip
    target = plan.document.chip.tiles[0].target
    changed = tilewright.load_chip(target, {"tile.adc.bits": 6, "device.programming.scale": 1})
    assert swept.points[1].evaluation == tilewright.evaluate(plan.on(changed), **GIVEN)
    assert swept.points[3].evaluation == tilewright.evaluate(plan, **GIVEN)  # as it is
    log = tmp_path / "log.jsonl"
    with tilewright.Workers(2) as workers:
        again = sweep(plan, {"tile.adc.bits": [6, 10]}, **GIVEN, workers=workers, results=log)
    assert again.points[0].evaluation == swept.points[1].evaluation
    assert len(log.read_text().splitlines()) == 2 * (1 + 2 * 2)


def test_tables_and_plots_of_studies(swept, tmp_path):
    rows = json.loads(study_table(swept).written("json"))
    assert [(row["tile.adc.bits"], row["device.programming.scale"]) for row in rows][2] == ("10", "0")
    assert rows[0]["1s"] == pytest.approx(swept.points[0].evaluation.points[0].mean)
    for ending in ("svg", "pdf", "png"):
        plot_study(swept, tmp_path / f"a.{ending}")
        plot_study(swept, tmp_path / f"b.{ending}")
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    assert "tile.adc.bits" in (tmp_path / "a.svg").read_text()


def test_a_page_of_a_study(swept, tmp_path):
    hostile = replace(swept, title="<script>alert(1)</script>")
    tilewright.write_study_page(hostile, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in page
    for row in study_table(swept).text_rows():
        assert all(escape(cell) in page for cell in row)
    assert page.count("<details>") == len(swept.points)
    assert "data:image/svg+xml;base64," in page
    tilewright.write_study_page(hostile, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text() == page
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        tilewright.write_study_page(swept, tmp_path / "folder.html")


def test_strange_metrics_are_drawn_and_old_files_stay(swept, tmp_path):
    points = [replace(one, evaluation=replace(one.evaluation, metric="a $x^$ \x1b b")) for one in swept.points]
    plot_study(replace(swept, points=points), tmp_path / "a.svg")
    ElementTree.parse(tmp_path / "a.svg")
    with pytest.raises(InputError, match="exists already"):
        plot_study(swept, tmp_path / "a.svg")
    plot_study(swept, tmp_path / "a.svg", overwrite=True)
    assert "at 1mo" in (tmp_path / "a.svg").read_text()  # two keys: lines are of the last time
    with pytest.raises(InputError, match=r"is written as \.html"):
        tilewright.write_study_page(swept, tmp_path / "page.txt")


@pytest.mark.parametrize(
    ("vary", "how", "said"),
    [
        (None, {}, "give values by key"),
        ({5: [6]}, {}, "is no text"),
        ({"tile.adc.bits": [4, 4]}, {}, "the value 4 twice"),
        ({"tile.adc.bits": "0..1000000000"}, {}, "at most 1,000"),
        ({"tile.adc.bits": "010"}, {}, "no numbers"),
        ({"tile.rows": [128]}, {}, "name its model"),
        ({"target": ["pcm-512"]}, {"target": "pcm-512"}, "leave target out"),
    ],
)
def test_wrong_variations_are_one_sentence(plan, vary, how, said):
    with pytest.raises(InputError, match=said):
        sweep(plan, vary, **how, **GIVEN)


def test_what_is_wrong_with_a_variant_of_a_model_is_said_first(small_bert_folder, monkeypatch):
    monkeypatch.setattr("tilewright.compiler.studies.study.compile", None)
    for vary, said in (
        ({"attention_bits": [8, 99]}, "attention bits are 99"),
        ({"programming": ["nosuch"]}, "nosuch"),
        ({"attention_bit": [8]}, "did you mean 'attention_bits'"),
    ):
        with pytest.raises(InputError, match=said):
            sweep(small_bert_folder, vary, "stsb", "data")


def test_ablations_switch_each_effect(plan, tmp_path):
    found = ablate(plan, **GIVEN)
    names = [one.name for one in found.points]
    assert names[0] == "all effects"
    assert {"no drift", "only drift", "no ADC", "only output noise"} <= {*names}
    nothing = found.points[names.index("no effect")].evaluation
    assert len({value for point in nothing.points for value in point.values}) == 1  # attention is INT8, all chips alike
    drift = found.points[names.index("only drift")].evaluation
    assert drift.points[1].mean != nothing.points[1].mean
    plot_study(found, tmp_path / "bars.svg")


@pytest.mark.parametrize("name", ["pcm-512", "ftj-balanced", "rram-512", "hermes-256", "pcm-512-dynamic"])
def test_effects_of_every_target(name):
    """Effects of a target: the others stay as they were where one is off, and one as it was where it is alone."""
    chip = tilewright.load_chip(name)
    variants = {one.name: changed_chip(chip, one.changes).tiles[0].target for one in ablations(chip)}
    target, nothing = chip.tiles[0].target, variants["no effect"]
    assert effects_of(nothing) == {}
    for effect in effects_of(target):
        assert effect not in effects_of(variants[f"no {effect}"])
        assert list(effects_of(variants[f"only {effect}"])) == [effect]
    for group, names in GROUPS.items():
        there = [effect for effect in effects_of(target) if effect in names]
        if len(there) > 1:
            assert list(effects_of(variants[f"only {group}"])) == there
    assert variants["no ADC"].tile.output_noise_deviation == pytest.approx(target.tile.output_noise_deviation)
    assert variants["only output noise"].tile.output_noise_deviation == pytest.approx(
        target.tile.output_noise_deviation
    )


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("4..7", [4, 5, 6, 7]), ("0..1..0.25", [0.0, 0.25, 0.5, 0.75, 1.0]), ("0,.5,1", [0, 0.5, 1]),
        ("abs_max,null", ["abs_max", None]), ("2..2", [2]), ([1, None], [1, None]),
    ],
)  # fmt: skip
def test_values_are_written_as_people_write_them(given, values):
    assert values_of("key", given) == values


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ({"tile.adc.bits": "7..4"}, "steps are FIRST..LAST"),
        ({"tile.adc.bits": "1..1e9"}, "steps are FIRST..LAST"),
        ({"tile.adc.bits": ""}, "has no values"),
        ({"tile.adc.bit": "4..5"}, "did you mean 'bits'"),
        ({"tile.adc.bits": "8,99"}, "tile.adc.bits is 99"),
        ({"attention_bits": "6..8"}, "name a model to vary it"),
        ({}, "nothing varies"),
    ],
)
def test_a_study_that_cannot_be_made_is_refused_before_anything_is_measured(plan, vary, said):
    with pytest.raises(InputError, match=said):
        sweep(plan, vary, **GIVEN, on_measurement=lambda *_: pytest.fail("measured"))


def test_too_many_variants_are_refused():
    with pytest.raises(InputError, match="10,000 combinations"):
        variants_of({"a": range(100), "b": range(100)})


def test_a_model_is_compiled_for_each_variant(small_model, tmp_path):
    from transformers import BertForSequenceClassification

    model, _ = small_model(BertForSequenceClassification, ("negative", "positive"))
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\n" + "a fine film\t1\na dull one\t0\n" * 3)
    arguments = ["sweep", str(model), "--vary", "attention_bits=4,8", "--task", "glue/sst2", "--data", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--repeats", "1", "--times", "1s", "--format", "markdown"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("| attention_bits | digital | 1s |")
    assert done.stdout.count("\n") == 4


def test_words_in_tables_stay_words():
    table = WrittenTable(["a", "b"], ["a_b", "c"], [["50% & more", Figure(1.25, 0.5)], ["=1+1", Figure(None)]])
    assert r"50\% \& more & 1.25 $\pm$ 0.50 \\" in table.written("latex")
    assert "'=1+1" in table.written("csv")
    assert table.written("csv").splitlines()[0] == "a,b,b_error"
