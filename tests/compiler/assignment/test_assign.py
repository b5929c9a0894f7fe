"""assign(): from the first measurement to the plan that was run, in one call."""

from typing import Any

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import present
from tilewright.compiler.sensitivity.measure import CACHE_FILE
from tilewright.targets.shares import parse_share

X = torch.randn(16, 20, generator=torch.Generator().manual_seed(0))
GIVEN: dict[str, Any] = {"inputs": {"input": X}, "repeats": 2, "time": "1d"}


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(20, 30), nn.GELU(), nn.Linear(30, 20), nn.GELU(), nn.Linear(20, 4)).eval()
    return tilewright.compile(network, "pcm-512-mixed", example_inputs=X)


def test_sensitivities_are_measured_if_they_are_not_given(plan):
    steps = []
    made = tilewright.assign(plan, budgets={"tiles": 1}, **GIVEN, on_step=lambda *step: steps.append(step))
    assert list(made.sensitivity.criteria) == ["gradient"]
    assert made.record.criterion == "gradient"
    again = tilewright.measure_sensitivity(plan, ["gradient"], **GIVEN)
    assert again.figures == made.sensitivity.figures
    chosen = tilewright.assign(plan, again, budgets={"tiles": 1})
    assert chosen.choice == made.choice
    assert chosen.predicted == pytest.approx(made.predicted, nan_ok=True)
    assert made.predicted["tiles"] <= 1
    assert steps[-1] == (2, 2, "chip 1 of seed 1")
    assert any("gradient of 0 on" in what for _, _, what in steps)


def test_those_that_are_given_are_taken(plan):
    figures = tilewright.measure_sensitivity(plan, ["weight-error", "product-error"], **GIVEN)
    assert tilewright.assign(plan, figures, **GIVEN).record.criterion == "weight-error"
    assert tilewright.assign(plan, figures, criterion="product-error", **GIVEN).record.criterion == "product-error"
    with pytest.raises(tilewright.InputError, match="criterion 'gradient' was not measured"):
        tilewright.assign(plan, figures, criterion="gradient")


def test_it_is_validated_where_there_are_samples_and_it_is_wanted(plan):
    figures = tilewright.measure_sensitivity(plan, ["weight-error"], **GIVEN)
    measured = present(tilewright.assign(plan, figures, **GIVEN).record.measured)
    assert (measured.chips, measured.seed) == (2, 1)
    assert measured.divergence >= 0
    assert tilewright.assign(plan, figures, **GIVEN, validate=False).record.measured is None
    assert tilewright.assign(plan, figures).record.measured is None, "the plan takes no text, and no arrays were given"


def test_it_is_saved_with_the_sensitivities_of_its_options(plan, tmp_path):
    saved = tilewright.load(plan.save(tmp_path / "plan"))
    made = tilewright.assign(saved, minimise="tiles", **GIVEN)
    folder = made.save(tmp_path / "new")
    assert (
        (folder / CACHE_FILE).read_text().count("\n")
        == (present(saved.folder) / CACHE_FILE).read_text().count("\n")
        > 0
    )
    steps = []
    found = tilewright.measure_sensitivity(
        tilewright.load(folder), ["gradient"], **GIVEN, on_figure=lambda *step: steps.append(step)
    )
    assert found.figures == made.sensitivity.figures
    with pytest.raises(tilewright.InputError, match="exists already"):
        made.save(folder)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"accuracy": "99%"}, "accuracy 99% is measured on labelled data: name a task and its data"),
        ({"accuracy": 0.9, "task": "stsb"}, "name a task and its data"),
        ({"accuracy": 2, "task": "stsb", "data": "x"}, "accuracy 2 is not a share such as 99% or 0.99"),
        ({"accuracy": 0.9, "task": "stsb", "data": "x", "budgets": {"tiles": 1}}, "takes no budgets"),
        ({"budgets": {"enrgy": 1}}, "did you mean 'energy'"),
        ({"minimise": "los"}, "did you mean 'loss'"),
        ({"method": "exat"}, "did you mean 'exact'"),
        ({"fixed": {"7": "pcm-512"}}, "matches no layer"),
        ({"criterion": "gradientt"}, "did you mean 'gradient'"),
        ({"repeats": 0}, "repeats is 0"),
        ({"samples": 0}, "samples is 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_anything_is_measured(plan, options, words):
    def never(*step):
        raise AssertionError(step)

    with pytest.raises(tilewright.InputError, match=words):
        tilewright.assign(plan, **{**GIVEN, **options}, on_step=never)


@pytest.mark.parametrize(("given", "share"), [("99%", 0.99), ("0.5", 0.5), (0.25, 0.25), (1, 1.0), (" 7 % ", 0.07)])
def test_shares_are_read(given, share):
    assert parse_share(given, "accuracy") == pytest.approx(share)


@pytest.mark.parametrize("given", ["most", "0", 0, -0.1, "101%", float("nan"), "", "%"])
def test_what_is_no_share_is_refused(given):
    with pytest.raises(tilewright.InputError, match="is not a share such as 99%"):
        parse_share(given, "accuracy")
