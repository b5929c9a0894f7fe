"""Intervals over examples and chips: their coverage on crossed data of known law, and A*."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from tilewright.runtime.measuring.iso_accuracy import iso_figure, normalised_values, verdict
from tilewright.runtime.measuring.resampling import resamples
from tilewright.runtime.measuring.uncertainty import Interval, estimated
from tilewright.runtime.tasks import Metric
from tilewright.targets.errors import InputError

SIMULATIONS = 400
RESAMPLES = 200


def crossed(draw, chips, examples, of_chips, of_examples, of_both):
    """Figures of chips on examples with the mean 0, of normal parts of these standard deviations."""
    parts = (of_chips, (chips, 1)), (of_examples, (1, examples)), (of_both, (chips, examples))
    return sum(scale * draw.normal(size=shape) for scale, shape in parts)


def shares(examples):
    """Weight of each example in each resample [examples, resamples]."""
    drawn = resamples(examples, RESAMPLES)
    return np.array([np.bincount(numbers, minlength=examples) / examples for numbers in drawn]).T


@pytest.mark.parametrize("chips", [3, 5, 25])
@pytest.mark.parametrize(
    ("of_chips", "of_examples", "of_both"),
    [(1.0, 0.1, 0.1), (0.01, 1.0, 0.1), (0.1, 1.0, 0.1), (0.0, 0.1, 1.0), (0.2, 1.0, 2.0)],
    ids=["chips", "examples", "alike", "both together", "all"],
)
def test_intervals_over_both_cover_the_truth(chips, of_chips, of_examples, of_both):
    """Coverage of the intervals in 400 simulations is at least 92.5 %, one-sided at 99.9 %."""
    draw, weights = np.random.default_rng(chips), shares(80)
    hits = 0
    for _ in range(SIMULATIONS):
        figures = crossed(draw, chips, 80, of_chips, of_examples, of_both)
        found = estimated(figures.mean(axis=1).tolist(), figures @ weights, 80).over_both
        assert found is not None
        hits += found.low <= 0 <= found.high
    assert hits >= binom.ppf(0.001, SIMULATIONS, 0.925)


def correlations(predictions, labels, weights):
    """Pearson's correlation of rows of predictions with the labels, by weights of examples [examples, resamples]."""
    mean, square = predictions @ weights, predictions**2 @ weights
    of_labels, product = labels @ weights, (predictions * labels) @ weights
    return (product - mean * of_labels) / np.sqrt((square - mean**2) * (labels**2 @ weights - of_labels**2))


def test_intervals_of_correlations_and_a_star_cover_the_truth():
    """Five chips on 100 examples, each with noise of its own size: as often as 92.5 % allow, one-sided at 99.9 %."""
    draw, weights, all_of_them = np.random.default_rng(0), shares(100), np.full((100, 1), 0.01)
    noise = 0.5 * np.exp(0.2 * draw.normal(size=100_000))
    truth, digital_truth = np.mean(1 / np.sqrt(1.16 + noise**2)), 1 / math.sqrt(1.16)
    metric, hits = Metric("correlation", lambda *_: 0.0, 0.0), np.zeros(2)
    for _ in range(SIMULATIONS):
        labels = draw.normal(size=100)
        digital = labels + 0.4 * draw.normal(size=100)
        chips = digital + draw.choice(noise, (5, 1)) * draw.normal(size=(5, 100))
        of_digital, reference = (correlations(digital[np.newaxis], labels, by)[0] for by in (weights, all_of_them))
        of_chips, values = (correlations(chips, labels, by) for by in (weights, all_of_them))
        a_star = normalised_values(metric, values, reference)[:, 0].tolist()
        relative = estimated(a_star, normalised_values(metric, of_chips, of_digital), 100).over_both
        figure = estimated(values[:, 0].tolist(), of_chips, 100).over_both
        assert figure is not None
        assert relative is not None
        hits += figure.low <= truth <= figure.high, relative.low <= truth / digital_truth <= relative.high
    assert (hits >= binom.ppf(0.001, SIMULATIONS, 0.925)).all(), hits / SIMULATIONS


def test_neither_part_alone_would_do():
    """Chips and examples alike: both intervals alone hold the truth less often than 92.5 % allow, at 99.9 %."""
    draw, weights = np.random.default_rng(0), shares(80)
    alone = np.zeros(2)
    for _ in range(SIMULATIONS):
        figures = crossed(draw, 5, 80, 0.25, 1.0, 0.1)
        found = estimated(figures.mean(axis=1).tolist(), figures @ weights, 80)
        assert found.over_examples is not None
        assert found.standard_error is not None
        of_chips = 2.776 * found.standard_error  # t of four degrees of freedom
        alone += found.over_examples.low <= 0 <= found.over_examples.high, abs(found.mean) <= of_chips
    assert (alone < binom.ppf(0.001, SIMULATIONS, 0.925)).all()


def test_a_wide_interval_is_no_virtue():
    """The interval over both, where examples decide, is within a tenth of theirs alone, 1.96 deviations."""
    draw, weights = np.random.default_rng(0), shares(80)
    widths = []
    for _ in range(100):
        figures = crossed(draw, 5, 80, 0.01, 1.0, 0.1)
        found = estimated(figures.mean(axis=1).tolist(), figures @ weights, 80).over_both
        assert found is not None
        widths.append(found.half_width)
    assert np.mean(widths) == pytest.approx(1.96 / math.sqrt(80), rel=0.1)


def test_the_interval_over_both_holds_that_over_examples():
    draw, weights = np.random.default_rng(0), shares(40)
    for _ in range(50):
        figures = crossed(draw, 3, 40, *draw.uniform(0, 1, 3))
        found = estimated(figures.mean(axis=1).tolist(), figures @ weights, 40)
        assert found.over_examples is not None
        assert found.over_both is not None
        assert found.over_both.low <= found.over_examples.low + 1e-12
        assert found.over_both.high >= found.over_examples.high - 1e-12


def test_what_is_not_known():
    weights = shares(40)
    figures = np.random.default_rng(0).normal(size=(2, 40))
    one = estimated([float(figures[0].mean())], figures[:1] @ weights, 40)
    assert one.over_examples is not None
    assert (one.standard_error, one.over_both) == (None, None)
    few = estimated(figures.mean(axis=1).tolist(), figures @ weights[:, :38], 40)
    assert (few.over_examples, few.over_both) == (None, None)
    alike = estimated([3.0, 3.0], np.full((2, 200), 3.0), 40)
    assert alike.over_both == alike.over_examples == Interval(3.0, 3.0)


ERROR = Metric("error", lambda *_: 0.0, 100.0, larger_is_better=False)
ACCURACY = Metric("accuracy", lambda *_: 0.0, 50.0)


@pytest.mark.parametrize(("metric", "digital"), [(ACCURACY, 90.0), (ACCURACY, 50.5), (ERROR, 20.0)])
def test_iso_accuracy_is_where_a_star_is(metric, digital):
    figure = iso_figure(metric, digital, 0.9)
    assert figure == pytest.approx(metric.chance + 0.9 * (digital - metric.chance))
    assert metric.normalised(figure, digital) == pytest.approx(0.9)
    assert iso_figure(metric, digital, 1.0) == pytest.approx(digital)


def test_iso_accuracy_without_chance():
    assert iso_figure(Metric("m", lambda *_: 0.0), 90.0, 0.9) is None
    for metric, digital in ((ACCURACY, 50.0), (ACCURACY, 30.0), (ERROR, 100.0), (ERROR, 120.0)):
        assert iso_figure(metric, digital, 0.9) is None
        with pytest.raises(InputError, match="better than chance: the digital reference gives"):
            metric.normalised(70.0, digital)
    assert iso_figure(ACCURACY, math.inf, 0.9) is None


def test_a_star_goes_through_the_metric_alone():
    """A metric whose A* is of logarithms, as a perplexity's may be."""

    class Logarithmic(Metric):
        def normalised(self, value, digital):
            assert self.chance is not None
            return math.log(value / self.chance) / math.log(digital / self.chance)

    metric = Logarithmic("perplexity", lambda *_: 0.0, 1000.0, larger_is_better=False)
    assert iso_figure(metric, 10.0, 0.5) == pytest.approx(100.0)
    found = normalised_values(metric, np.array([[100.0, 10.0]]), np.array([10.0, 10.0]))
    assert found == pytest.approx(np.array([[0.5, 1.0]]))
    assert np.isnan(normalised_values(Metric("m", lambda *_: 0.0), np.ones((2, 3)), np.ones(3))).all()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.99, 1.01, "holds"), (0.5, 0.9899, "fails"), (0.98, 0.99, "cannot be told"), (0.5, 1.5, "cannot be told")],
)
def test_verdicts(low, high, expected):
    assert verdict(Interval(low, high), 0.99) == expected
