"""Resamples of examples: which ones, and a metric's figures on them."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from tilewright.runtime.measuring.resampling import figures_on_resamples, resamples
from tilewright.runtime.tasks import Metric
from tilewright.runtime.tasks.metrics import accuracy, f1, spearman
from tilewright.targets.errors import InputError

EXAMPLES = 60


@pytest.fixture(scope="module")
def classes():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, EXAMPLES)
    return torch.tensor(np.where(draw.random(EXAMPLES) < 0.8, labels, 1 - labels)), labels.tolist()


def test_the_first_resamples_do_not_depend_on_how_many_follow():
    few, many = (np.array(list(resamples(EXAMPLES, count))) for count in (3, 7))
    assert few.shape == (3, EXAMPLES)
    assert (many[:3] == few).all()
    assert len({tuple(numbers) for numbers in many.tolist()}) == 7
    assert (np.array(list(resamples(EXAMPLES + 1, 3)))[:, :EXAMPLES] != few).any()


def test_every_example_is_drawn_as_often():
    """Pearson's chi-square of 1,000 resamples of 30 examples, two-sided at 99.9 %."""
    drawn = np.bincount(np.concatenate(list(resamples(30, 1000))), minlength=30)
    assert len(drawn) == 30
    statistic = ((drawn - 1000) ** 2 / 1000).sum()
    assert chi2.ppf(0.0005, 29) < statistic < chi2.ppf(0.9995, 29)


def test_figures_are_the_metrics_own_on_those_examples(classes):
    predictions, labels = classes
    for metric in (accuracy(2), f1(2)):
        figure = metric(predictions, labels)
        found = figures_on_resamples(metric, predictions, labels, figure, 5)
        expected = [metric(predictions[numbers], np.array(labels)[numbers]) for numbers in resamples(EXAMPLES, 5)]
        assert found == pytest.approx(expected, rel=1e-8)
        assert len(set(expected)) > 1


def test_the_form_by_example_gives_the_same_as_the_figure(classes):
    predictions, labels = classes
    by_example = accuracy(2)
    assert by_example.each is not None
    at_once = Metric(by_example.name, by_example.of, by_example.chance)
    figure = by_example(predictions, labels)
    assert figures_on_resamples(by_example, predictions, labels, figure, 20) == pytest.approx(
        figures_on_resamples(at_once, predictions, labels, figure, 20), rel=1e-8
    )


@pytest.mark.parametrize("kind", [torch.tensor, np.array, list])
def test_predictions_and_labels_of_any_kind(classes, kind):
    predictions, labels = classes
    metric = Metric("right", lambda found, wanted: 100 * np.mean(np.array(found) == np.array(wanted)))
    expected = figures_on_resamples(accuracy(2), predictions, labels, metric(predictions.tolist(), labels), 4)
    assert figures_on_resamples(metric, kind(predictions.tolist()), kind(labels), 0.0, 4) == expected


def test_a_resample_without_a_figure_is_none():
    """Two examples of 40 are of the class 1: on a resample without them the metric fails, or gives NaN."""
    labels = np.zeros(40, int)
    labels[:2] = 1
    without = [not labels[numbers].any() for numbers in resamples(40, 60)]
    assert 0 < sum(without) < 60

    def fails(_predictions: Any, wanted: Any) -> float:
        if not wanted.any():
            raise ValueError("only one class")
        return 1.0

    for metric in (Metric("fails", fails), Metric("nan", lambda _, wanted: 1.0 if wanted.any() else np.nan)):
        found = figures_on_resamples(metric, labels, labels, 1.0, 60)
        assert found == [None if one else 1.0 for one in without]


def test_where_there_are_no_resamples(classes):
    predictions, labels = classes
    assert figures_on_resamples(accuracy(2), predictions, labels, 80.0, 0) is None
    assert figures_on_resamples(accuracy(2), predictions[1:], labels, 80.0, 50) is None


@pytest.mark.parametrize(
    ("each", "words"),
    [
        (lambda found, _: [0.0] * len(found), "with the mean 0, and its figure is 80"),
        (lambda *_: [80.0], "of 60 examples"),
        (lambda *_: 1 / 0, "fails by example: division by zero"),
    ],
    ids=["mean", "shape", "error"],
)
def test_a_form_by_example_that_is_none(classes, each, words):
    metric = Metric("m", lambda *_: 80.0, each=each)
    with pytest.raises(InputError, match=words):
        figures_on_resamples(metric, classes[0], classes[1], 80.0, 50)


def test_it_says_nothing(recwarn, capfd):
    """A correlation of equal labels warns, of which a user learns nothing."""
    labels = torch.zeros(8)
    labels[0] = 1
    found = figures_on_resamples(spearman(), torch.arange(8.0), labels, 10.0, 60)
    assert found is not None
    assert None in found
    assert not recwarn
    assert capfd.readouterr() == ("", "")
