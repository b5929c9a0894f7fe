"""The laws of normal numbers, exactly: every case of their bits is counted, not drawn."""

from math import comb

import pytest
import torch
from scipy.stats import norm

from tilewright.runtime.chip import normal_law
from tilewright.runtime.chip.draws import Draws


def coarse() -> torch.Tensor:
    """All coarse numbers [65536], before their unit."""
    return normal_law.coarse_table().double()


def moment(order: int) -> float:
    """Moment of a coarse number, before its unit."""
    return float((coarse() ** order).mean())


def fine_moment(order: int) -> float:
    """Moment of a fine number of unit variance: its halves are independent."""
    first, second = normal_law.HALVES
    parts = range(0, order + 1, 2)
    made = sum(comb(order, k) * first**k * moment(k) * second ** (order - k) * moment(order - k) for k in parts)
    return float(made / fine_variance() ** (order / 2))


def fine_variance() -> float:
    return sum(factor**2 for factor in normal_law.HALVES) * moment(2)


def test_units_make_the_variance_one():
    units = torch.tensor([normal_law.COARSE_UNIT, normal_law.FINE_UNIT]).double()
    assert units.tolist() == pytest.approx([moment(2) ** -0.5, fine_variance() ** -0.5], rel=3e-8)


def test_laws_are_symmetric():
    numbers = coarse().sort().values
    assert torch.equal(numbers, -numbers.flip(0))


def test_moments_of_coarse_numbers():
    moments = [moment(order) / moment(2) ** (order / 2) for order in (4, 6, 8)]
    assert moments == pytest.approx([3.0010, 14.847, 100.88], rel=1e-4)


def test_moments_of_fine_numbers():
    assert [fine_moment(order) for order in (4, 6, 8)] == pytest.approx([3.0005, 14.965, 103.96], rel=1e-4)


def test_distance_and_tails_of_coarse_numbers():
    values, counts = (coarse() / moment(2) ** 0.5).unique(return_counts=True)
    below = counts.cumsum(0).double() / 65536
    expected = torch.from_numpy(norm.cdf(values.numpy()))
    distance = torch.maximum((below - expected).abs(), (below - counts / 65536 - expected).abs()).max()
    assert distance < 0.00126
    sizes = (coarse() / moment(2) ** 0.5).abs()
    assert [float((sizes > edge).double().mean()) for edge in (3, 4)] == pytest.approx([0.00269, 3.05e-5], rel=0.01)
    assert float(sizes.max()) == pytest.approx(4.273, abs=0.001)


def fine_law() -> tuple[torch.Tensor, torch.Tensor]:
    """All values of fine numbers of unit variance, and their probabilities."""
    values, counts = coarse().unique(return_counts=True)
    first, second = normal_law.HALVES
    sums = (values.unsqueeze(0) * first + values.unsqueeze(1) * second).flatten().long()
    shares = (counts.unsqueeze(0) * counts.unsqueeze(1)).double().flatten() / 2**32
    least = int(sums.min())
    law = torch.zeros(int(sums.max()) - least + 1, dtype=torch.float64).index_add_(0, sums - least, shares)
    return (torch.arange(len(law)) + least).double() / fine_variance() ** 0.5, law


def test_distance_and_tails_of_fine_numbers():
    values, law = fine_law()
    below, expected = law.cumsum(0), torch.from_numpy(norm.cdf(values.numpy()))
    assert float(torch.maximum((below - expected).abs(), (below - law - expected).abs()).max()) < 0.00018
    assert float(law.max()) < 2e-6  # no value is frequent: conductances do not fall on a lattice
    tails = [float(law[values.abs() > edge].sum()) for edge in (3, 4, 5)]
    assert tails == pytest.approx([0.00269, 5.69e-5, 3.12e-7], rel=0.01)
    assert float(values.max()) == pytest.approx(6.04, abs=0.001)


@pytest.mark.slow
def test_a_hundred_million_numbers_have_their_law():
    """Moments and tails of 10^8 fine numbers, within four standard errors of the law's own."""
    count, sums, beyond = 0, torch.zeros(3, dtype=torch.float64), 0
    for part in range(100):
        numbers = Draws(0, 0).normal((1000, 1000), "many", part).double()
        count += numbers.numel()
        sums += torch.stack([numbers.sum(), numbers.square().sum(), (numbers**4).sum()])
        beyond += int((numbers.abs() > 4).sum())
    mean, variance, fourth = (sums / count).tolist()
    assert abs(mean) < 4 / count**0.5
    assert abs(variance - 1) < 4 * (2 / count) ** 0.5
    assert abs(fourth - fine_moment(4)) < 4 * (96 / count) ** 0.5
    expected = 5.69e-5 * count
    assert abs(beyond - expected) < 4 * expected**0.5 + 0.01 * expected
