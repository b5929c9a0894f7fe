"""Uncertainty of evaluations: from one measurement to the table, through logs old and new."""

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

import tilewright
from tests.narrowing import present
from tests.networks import stack
from tilewright.runtime.measuring.comparison import Comparison
from tilewright.runtime.measuring.kept_evaluations import kept_evaluations
from tilewright.runtime.measuring.measurements import Measured
from tilewright.runtime.measuring.resampling import resamples
from tilewright.runtime.tasks.metrics import accuracy
from tilewright.targets.errors import InputError

EXAMPLES = 120
HOW: dict[str, Any] = {"times": ["1s", "1mo"], "repeats": 3}


@pytest.fixture(scope="module")
def given():
    """A plan of a small classifier on noisy chips, and what to measure it on."""
    torch.manual_seed(0)
    model, x = stack(8, 16, 3), torch.randn(EXAMPLES, 8)
    with torch.no_grad():
        labels = model(x).argmax(dim=1)
    labels[::6] = 0
    plan = tilewright.compile(model, "pcm-512-8bit", example_inputs=x[:2])
    return plan, {"metric": accuracy(3), "inputs": x, "labels": labels, "readout": classes}


def classes(outputs):
    return next(iter(outputs.values())).argmax(dim=1)


def predicted(plan, inputs, **chip):
    session = tilewright.Session(plan, **chip).advance_to("1mo") if chip else tilewright.Session(plan, ideal=True)
    name = plan.document.inputs[0].name
    return classes(session.run({name: inputs["inputs"]}, samples=range(EXAMPLES))).numpy()


def test_a_network_no_better_than_chance_has_no_a_star(given):
    """Chance for three classes is 40 right of 120 examples; one resample has more, another less."""
    plan, inputs = given
    alike = {**inputs, "labels": (predicted(plan, inputs) + 1) % 3}
    found = tilewright.evaluate(plan, **alike, **HOW, until_error="iso", fewest=2)
    assert found.digital == 0.0
    assert [(point.normalised, point.iso_accuracy) for point in found.points] == [(None, None)] * 2
    assert "is no better than chance (33.33), so there is no A*" in found.further_notes[0]
    assert found.iso_figure is None
    assert found.repeats == 2  # there is nothing to decide by more chips
    hardly = np.where(np.arange(EXAMPLES) < 42, predicted(plan, inputs), alike["labels"])
    point = tilewright.evaluate(plan, **{**inputs, "labels": torch.from_numpy(hardly)}, **HOW).points[0]
    assert present(point.normalised).over_both is None  # digital is below chance on many resamples
    assert point.iso_accuracy is None


def test_intervals_are_of_the_same_resamples_of_all(given):
    """All of it once more, from predictions: percentiles of means over chips, paired with the digital reference."""
    plan, inputs = given
    found = tilewright.evaluate(plan, **inputs, **HOW)
    labels, point = inputs["labels"].numpy(), found.points[1]
    right = 100.0 * np.array([predicted(plan, inputs, seed=0, repeat=chip) == labels for chip in range(3)])
    digital = 100.0 * (predicted(plan, inputs) == labels)
    assert right.mean(axis=1) == pytest.approx(point.values)
    drawn = np.array(list(resamples(EXAMPLES, 200)))
    of_chips, of_digital = right[:, drawn].mean(axis=2), digital[drawn].mean(axis=1)

    def percentiles(figures):
        return pytest.approx(np.quantile(figures, (0.025, 0.975), method="weibull").tolist(), rel=1e-7)

    def ends(interval):
        return [present(interval).low, present(interval).high]

    assert ends(point.over_examples) == percentiles(of_chips.mean(axis=0))
    assert ends(present(point.difference).over_examples) == percentiles((of_chips - of_digital).mean(axis=0))
    a_star = (of_chips - 100 / 3) / (of_digital - 100 / 3)
    assert ends(present(point.normalised).over_examples) == percentiles(a_star.mean(axis=0))
    assert ends(found.digital_over_examples) == percentiles(of_digital)
    assert present(point.difference).mean == pytest.approx(point.mean - found.digital)
    assert present(point.normalised).mean == pytest.approx((point.mean - 100 / 3) / (found.digital - 100 / 3))
    assert (found.resamples, found.left_out, found.iso) == (200, 0, 0.99)
    assert found.iso_figure == pytest.approx(100 / 3 + 0.99 * (found.digital - 100 / 3))
    paired, unpaired = present(point.difference).over_examples, point.over_examples
    assert present(paired).half_width < present(unpaired).half_width, "most examples are as hard for all"


def test_a_run_is_resumed_with_its_intervals(given, tmp_path, monkeypatch):
    plan, inputs = given
    log = tmp_path / "log.jsonl"
    first = tilewright.evaluate(plan, **inputs, **HOW, results=log)
    monkeypatch.setattr(tilewright.Session, "run", None)  # nothing is left to run
    assert tilewright.evaluate(plan, **inputs, **HOW, results=log) == first
    fewer = tilewright.evaluate(plan, **inputs, **HOW, results=log, resamples=50)
    assert (fewer.resamples, fewer.points[0].values) == (50, first.points[0].values)
    assert fewer.points[0].over_both != first.points[0].over_both
    more = tilewright.evaluate(plan, **inputs, **HOW, results=log, resamples=300)
    assert more == first, "those that are there are taken"


def test_logs_of_before_count_and_say_what_they_do_not_know(given, tmp_path):
    plan, inputs = given
    log = tmp_path / "log.jsonl"
    new = tilewright.evaluate(plan, **inputs, **HOW, results=log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(len(line["resampled"]) == 200 for line in lines)
    del lines[0]["resampled"], lines[0]["metric"], lines[0]["metric_version"]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = tilewright.evaluate(plan, **inputs, **HOW, results=log)
    assert len(log.read_text().splitlines()) == len(lines), "nothing is measured again"
    assert [point.values for point in found.points] == [point.values for point in new.points]
    assert found.resamples == 0
    for point in found.points:
        assert [point.over_examples, point.over_both, point.iso_accuracy] == [None] * 3
        assert present(point.normalised).mean == pytest.approx(present(new.points[0].normalised).mean, abs=1)
    assert "unknown" in found.notes[0]


@pytest.mark.parametrize("resampled", ["x", [1.0, "x"], [True], {}, [1.0] * 10_001], ids=str)
def test_a_log_with_what_is_no_figure_is_refused(given, tmp_path, resampled):
    (tmp_path / "log").write_text(json.dumps({"draws": 2, "value": 1.0, "resampled": resampled}) + "\n")
    with pytest.raises(InputError, match="line 1 is not a measurement"):
        tilewright.evaluate(given[0], **given[1], **HOW, results=tmp_path / "log")


def test_resamples_without_a_figure_are_left_out_of_all(given):
    """A metric that has no figure where the first example is missing: with a chance of e⁻¹."""
    plan, inputs = given
    labels = inputs["labels"].clone()
    labels[0] = 7

    def needs_the_first(predictions, wanted):
        return 100 * float((predictions == wanted).float().mean()) if (wanted == 7).any() else float("nan")

    found = tilewright.evaluate(plan, **inputs | {"metric": needs_the_first, "labels": labels}, **HOW)
    without = sum(0 not in numbers for numbers in resamples(EXAMPLES, 200))
    assert found.left_out == without
    assert 0 < without < 200
    assert found.notes[0] == f"the metric has no figure on {without} of 200 resamples, which are left out"
    assert found.points[0].over_both is not None
    assert found.points[0].normalised is None, "nobody said what chance is"
    few = tilewright.evaluate(plan, **inputs | {"metric": needs_the_first, "labels": labels}, **HOW, resamples=39)
    assert few.notes[0].endswith("left out; too few are left for intervals")
    assert few.points[0].over_both is None


def test_iso_accuracy_and_what_decides(given, tmp_path):
    plan, inputs = given
    plan = tilewright.load(plan.save(tmp_path / "plan"))
    ideal = tilewright.evaluate(tilewright.compile(stack(8, 16, 3), "ideal", example_inputs=inputs["inputs"][:2]),
                                **inputs, **HOW)  # fmt: skip
    assert [point.iso_accuracy for point in ideal.points] == ["holds", "holds"]
    assert present(ideal.points[0].difference).over_both == tilewright.Interval(0.0, 0.0)
    assert "decide more than 3 chips" in ideal.notes[0]
    assert "± 0.00 from the chips (1mo)" in ideal.notes[0]
    low, high = (tilewright.evaluate(plan, **inputs, **HOW, iso=iso) for iso in ("10%", 1.0))
    assert low.points[1].iso_accuracy == "holds"
    assert high.points[1].iso_accuracy in ("fails", "cannot be told")
    assert low.points[1].normalised == high.points[1].normalised
    assert (low.iso, high.iso) == (0.1, 1.0)
    (kept,) = kept_evaluations(plan)
    assert json.loads(json.dumps(high.to_json())) == kept, "a report knows all of it"


def test_intervals_of_figures_that_differ_by_factors():
    """Those of a metric in logarithms are the exponentials of the logarithms' intervals, and stay above nothing."""
    generator = np.random.default_rng(0)
    chips = np.exp(generator.normal(5.0, 2.5, (5, 1)) + generator.normal(0.0, 0.1, (5, 200)))
    figures = [Measured(float(np.median(chip)), chip.tolist()) for chip in chips]
    digital = Measured(20.0, np.exp(generator.normal(3.0, 0.1, 200)).tolist())
    metric = tilewright.Metric("perplexity", no_figure, 5e4, larger_is_better=False, in_logarithms=True)
    point = Comparison(metric, EXAMPLES, digital, {"1mo": figures}, 200).point("1mo", 2.6e6, 0.99)
    logarithms = [Measured(math.log(np.median(chip)), np.log(chip).tolist()) for chip in chips]
    plain = Comparison(tilewright.Metric("nats", no_figure), EXAMPLES, digital, {"1mo": logarithms}, 200).point(
        "1mo", 0, 0.99
    )
    for found, wanted in ((point.over_examples, plain.over_examples), (point.over_both, plain.over_both)):
        ends = [math.log(end) for end in (present(found).low, present(found).high)]
        assert ends == pytest.approx([present(wanted).low, present(wanted).high])
    assert 0 < present(point.over_both).low < math.exp(plain.mean) < present(point.over_both).high
    assert point.mean - 3 * present(point.standard_error) < 0  # where an interval around the mean would reach


def test_one_chip_and_no_resamples(given):
    plan, inputs = given
    one = tilewright.evaluate(plan, **inputs, times=["1d"], repeats=1)
    assert one.points[0].over_examples is not None
    assert one.points[0].over_both is None
    assert one.notes == ["one chip: how much chips differ is unknown"]
    none = tilewright.evaluate(plan, **inputs, times=["1d"], repeats=1, resamples=0)
    assert none.points[0].over_examples is None
    assert none.points[0].values == one.points[0].values


@pytest.mark.parametrize(
    ("how", "words"),
    [({"resamples": 12}, "resamples .* is 12, allowed is 39 to 10000"), ({"resamples": True}, "is True"),
     ({"iso": 99}, "iso 99 is not a share such as 99% or 0.99"), ({"iso": "good"}, "iso 'good' is not a share")],
    ids=str,
)  # fmt: skip
def test_what_does_not_fit(given, how, words):
    with pytest.raises(InputError, match=words):
        tilewright.evaluate(given[0], **given[1], **HOW, **how)


def test_a_changed_metric_under_the_same_name_is_another_measurement(given, tmp_path):
    plan, inputs = given
    log = tmp_path / "log.jsonl"

    def share_of(factor):
        return tilewright.Metric("mine", lambda found, wanted: factor * float((found == wanted).float().mean()))

    def other():
        return tilewright.Metric("mine", lambda found, wanted: 100 * float((found != wanted).float().mean()))

    lines = []
    for metric in (share_of(100), share_of(100), share_of(1), other(), tilewright.Metric("mine", right, version=2),
                   tilewright.Metric("mine", right, version=3)):  # fmt: skip
        found = tilewright.evaluate(plan, **inputs | {"metric": metric}, times=["1s"], repeats=1, results=log)
        lines.append(len(log.read_text().splitlines()))
        assert found.digital == metric(torch.tensor(predicted(plan, inputs)), inputs["labels"])
    assert lines == [2, 2, 4, 6, 8, 10]
    first, *_, last = map(json.loads, log.read_text().splitlines())
    keys = {"draws", "plan", "task", "data", "metric", "metric_version", "digital", "id", "value", "resampled"}
    assert set(first) == keys
    assert [(line["task"], line["metric"], line["metric_version"]) for line in (first, last)] == [
        ("GivenTask", "mine", 1), ("GivenTask", "mine", 3)
    ]  # fmt: skip


def right(found, wanted):
    return 100 * float((found == wanted).float().mean())


def no_figure(_found, _wanted):
    raise AssertionError("figures are given")
