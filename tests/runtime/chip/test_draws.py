"""Draws depend on their names alone."""

import torch
from scipy.stats import kstest

from tilewright.runtime.chip.draws import Draws

CONFIDENCE = 1e-3  # a correct generator fails one of these tests in a thousand; the seed is fixed


def test_a_name_always_draws_the_same_and_names_differ():
    draws = Draws(0, 0)
    first = draws.normal((100,), "layer", "effect")
    draws.normal((50,), "other", "effect")
    assert torch.equal(first, draws.normal((100,), "layer", "effect"))
    others = [
        draws.normal((100,), "layer", "effect2"),
        draws.normal((100,), "layer2", "effect"),
        Draws(1, 0).normal((100,), "layer", "effect"),
        Draws(0, 1).normal((100,), "layer", "effect"),
    ]
    for other in others:
        assert not torch.equal(first, other)


def test_names_are_not_joined_ambiguously():
    assert not torch.equal(Draws(0, 0).normal((8,), "a", "b1"), Draws(0, 0).normal((8,), "a", "b", 1))
    assert not torch.equal(Draws(1, 11).normal((8,), "a"), Draws(11, 1).normal((8,), "a"))


def test_normal_numbers_are_standard_normal_and_names_independent():
    one, two = Draws(3, 0).normal((200_000,), "x"), Draws(3, 0).normal((200_000,), "y")
    assert kstest(one.numpy(), "norm").pvalue > CONFIDENCE
    assert abs(torch.corrcoef(torch.stack([one, two]))[0, 1].item()) < 4 / 200_000**0.5


def test_a_samples_numbers_do_not_depend_on_the_batch_or_the_padding():
    draws = Draws(0, 0)
    for columns in (1, 15, 16, 37, 384):
        together = draws.normal_per_sample([4, 5, 6], 9, columns, "layer")
        assert together.shape == (3, 9, columns)
        for place, sample in enumerate([4, 5, 6]):
            alone = draws.normal_per_sample([sample], 3, columns, "layer")
            assert torch.equal(alone[0], together[place, :3])


def test_threads_do_not_matter():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = Draws(0, 0).normal((100_000,), "x")
        torch.set_num_threads(2)
        assert torch.equal(one, Draws(0, 0).normal((100_000,), "x"))
    finally:
        torch.set_num_threads(threads)
