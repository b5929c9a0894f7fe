"""Measurements of several files: merged, filtered, written; and chips that stop when enough is known."""

import json
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import tilewright
from tests import lora_adapters
from tests.runtime.measuring.test_workers import right
from tilewright.compiler.cli.app import app
from tilewright.runtime.measuring.evaluation import TimePoint
from tilewright.runtime.measuring.measurements import measurement_id
from tilewright.runtime.measuring.results import read_results
from tilewright.runtime.measuring.stopping import parse_until
from tilewright.runtime.storage.line_file import add_line
from tilewright.targets.errors import InputError

LABELS = torch.arange(6) % lora_adapters.CLASSES
TIMES = ("1s", "1mo")


@pytest.fixture(scope="module")
def plan():
    return tilewright.compile(lora_adapters.Classifier().eval(), example_inputs={"x": lora_adapters.inputs()})


def evaluated(plan, **how):
    given: dict[str, Any] = {"metric": right, "inputs": {"x": lora_adapters.inputs()}, "labels": LABELS}
    return tilewright.evaluate(plan, **given, times=TIMES, resamples=0, **how)


@pytest.fixture(scope="module")
def parts(plan, tmp_path_factory):
    """Files of the chips 0 to 1, and 1 to 3."""
    folder = tmp_path_factory.mktemp("parts")
    for name, chips in (("a", range(2)), ("b", range(1, 4))):
        found = evaluated(plan, chips=chips, results=folder / f"{name}.jsonl")
        assert (found.repeats, found.first_chip) == (len(chips), chips.start)
    return folder / "a.jsonl", folder / "b.jsonl"


def test_files_of_parts_are_one_evaluation(plan, parts, tmp_path):
    measured = []
    merged = evaluated(
        plan, repeats=4, results=[tmp_path / "c.jsonl", *parts], on_measurement=lambda *step: measured.append(step)
    )
    assert merged == evaluated(plan, repeats=4)
    assert not (tmp_path / "c.jsonl").exists()  # nothing was left to measure
    assert measured[-1][:2] == (9, 9)


def test_results_are_listed_filtered_merged_and_exported(parts, tmp_path):
    def told(*arguments):
        return CliRunner().invoke(app, ["results", *map(str, parts), *map(str, arguments)])

    everything = json.loads(told("--json").stdout)
    assert [(row["seconds"], row["chips"]) for row in everything] == [(None, 1), (1.0, 4), (2592000.0, 4)]
    assert "1mo" in told().stdout
    assert "more than once, and count once: 3" in told().stderr
    (month,) = json.loads(told("--json", "--where", "seconds=2592000").stdout)
    assert json.loads(told("--json", "--where", "seconds=1mo").stdout) == [month]
    assert json.loads(told("--json", "--where", f"plan={everything[0]['plan'][:5]}").stdout) == everything
    values = [entry["value"] for entry in read_results(parts).where({"seconds": 2592000}).entries]
    assert month["value"] == pytest.approx(sum(values) / 4, rel=1e-12)
    latex = told("--format", "latex").stdout
    assert latex.startswith("\\begin{tabular}")
    assert "$\\pm$" in latex
    assert told("--format", "markdown").stdout.count("\n") == 5
    assert told("--format", "csv").stdout.splitlines()[0].endswith("chips,value,value_error")
    assert told("-o", tmp_path / "merged.jsonl").exit_code == 0
    assert len(read_results([tmp_path / "merged.jsonl"]).entries) == 9
    for arguments, said in (
        (("--where", "second=1"), "did you mean 'seconds'"),
        (("--format", "late"), "did you mean 'latex'"),
        (("-o", tmp_path / "merged.jsonl"), "exists already"),
        (("-o", tmp_path / "nowhere" / "merged.jsonl"), "nowhere"),
        (("--where", "seconds=1month"), "is not a number with one of the units"),
    ):
        error = told(*arguments).exception
        assert isinstance(error, InputError)
        assert said in str(error)


def test_a_measurement_that_was_changed_is_refused(plan, parts, tmp_path):
    lines = [json.loads(line) for line in parts[0].read_text().splitlines()]
    assert all(line["id"] == measurement_id(line) for line in lines)
    lines[1]["repeat"] = 7
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(InputError, match="line 2 was changed"):
        evaluated(plan, repeats=2, results=tmp_path / "log.jsonl")


def test_two_values_of_one_measurement_are_said(plan, parts, tmp_path):
    lines = [json.loads(line) for line in parts[0].read_text().splitlines()]
    lines[1]["value"] += 1
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = evaluated(plan, repeats=2, results=[parts[0], tmp_path / "log.jsonl"])
    assert any("two values in the files: 1" in note for note in found.notes)
    assert read_results([parts[0], tmp_path / "log.jsonl"]).differing == 1


def test_chips_are_added_until_the_error_is_small(plan):
    found = evaluated(plan, repeats=40, until_error=0.5)
    assert all(point.standard_error <= 0.5 for point in found.points)
    assert all(3 < len(point.values) < 40 for point in found.points)
    whole = evaluated(plan, repeats=max(len(point.values) for point in found.points))
    assert [one.values for one in found.points] == [
        other.values[: len(one.values)] for one, other in zip(found.points, whole.points, strict=True)
    ]
    short = evaluated(plan, repeats=4, until_error="0.001%")
    assert [len(point.values) for point in short.points] == [4, 4]


@pytest.mark.parametrize(
    ("until", "values", "verdict", "wanted"),
    [
        (0.1, [1.0, 1.1, 1.2], None, 3),  # .058
        (0.01, [1.0, 1.1, 1.2], None, 6),  # at most twice as many at once
        (0.05, [1.0, 1.1, 1.2], None, 4),  # (.1 / .05)²
        ("5%", [1.0, 1.1, 1.2], None, 4),  # .055
        ("iso", [1.0, 1.1, 1.2], "cannot be told", 6),
        ("iso", [1.0, 1.1, 1.2], "fails", 3),
    ],
)
def test_how_many_chips_are_wanted(until, values, verdict, wanted):
    point = TimePoint("1s", 1.0, values, iso_accuracy=verdict)
    rule = parse_until(until, 100)
    assert rule is not None
    more = rule.more({"1s": point})
    assert more == ({} if wanted == 3 else {"1s": wanted})


@pytest.mark.parametrize("wrong", [0, -1, "1 %%", "isos", float("nan"), True])
def test_an_error_that_is_none_is_refused(wrong):
    with pytest.raises(InputError, match="until_error is"):
        parse_until(wrong, 5)


@pytest.mark.parametrize("wrong", [range(0), range(5, 3), range(0, 9, 2), range(-1, 3), [1, 2]])
def test_chips_that_are_none_are_refused(plan, wrong):
    with pytest.raises(InputError, match="chips are"):
        evaluated(plan, chips=wrong)


def test_a_readout_of_ones_own_is_part_of_what_is_measured(plan, tmp_path):
    log = tmp_path / "log.jsonl"
    found = [
        evaluated(plan, repeats=2, results=log, readout=readout)
        for readout in (lambda outputs: outputs["logits"], lambda outputs: -outputs["logits"])
    ]
    assert found[0].digital != found[1].digital
    assert found[1] == evaluated(plan, repeats=2, readout=lambda outputs: -outputs["logits"])


def test_infinite_figures_and_hostile_lines_are_shown(plan, tmp_path):
    found = evaluated(plan, repeats=1, results=tmp_path / "a.jsonl")
    assert found.points
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    for line in lines:
        del line["id"]
    more = [{**line, "value": float("nan"), "repeat": 5} for line in lines if "repeat" in line]
    more += [{**line, "value": float("inf"), "repeat": 6} for line in lines if "repeat" in line]
    more += [{**lines[-1], "seconds": 10**4000 - 1}, {**lines[-1], "\x1b[31m": 1, "=cmd()": 2}]
    hostile = tmp_path / "hostile.jsonl"
    hostile.write_text("".join(json.dumps(line) + "\n" for line in [*lines, *more]))
    again = read_results([hostile, hostile])
    assert again.differing == 0  # NaN is NaN
    for how in ("terminal", "csv", "markdown", "latex", "json"):
        done = CliRunner().invoke(app, ["results", str(hostile), "--format", how])
        assert done.exit_code == 0, done.output
        assert "\x1b" not in done.stdout
    assert "'=cmd()" in CliRunner().invoke(app, ["results", str(hostile), "--format", "csv"]).stdout
    assert len(read_results(str(hostile)).entries) == len(lines) + len(more)
    with pytest.raises(InputError, match="give paths"):
        read_results(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("until", "most"), [(1e-200, 4), ("1e-320%", 4), (0.1, 3)])
def test_tiny_errors_take_all_chips(until, most):
    rule = parse_until(until, most)
    assert rule is not None
    assert rule.more({"1s": TimePoint("1s", 1.0, [1.0, 2.0, 3.0])}) == ({"1s": most} if most > 3 else {})


def test_an_error_needs_as_many_chips_as_it_begins_with(plan):
    with pytest.raises(InputError, match="begins with 3 chips"):
        evaluated(plan, repeats=1, until_error=0.1)
    with pytest.raises(InputError, match="needs to know chance"):
        evaluated(plan, repeats=4, until_error="iso")
    with pytest.raises(InputError, match="executor is 5"):
        evaluated(plan, repeats=4, executor=5)


def test_a_log_that_is_full_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("tilewright.runtime.storage.line_file.LARGEST_LOG", 300)
    log = tmp_path / "log.jsonl"
    add_line(log, {"draws": 1, "value": 1.0})
    with pytest.raises(InputError, match="is full"):
        add_line(log, {"draws": 1, "value": 1.0, "more": "x" * 300})
    assert len(log.read_text().splitlines()) == 1
    with pytest.raises(InputError, match="its folder is not there"):
        add_line(tmp_path / "nowhere" / "log.jsonl", {"value": 1.0})
