"""Draws depend on their names alone."""

import torch
from scipy.stats import kstest

from tilewright.runtime.chip.draws import Draws, places_of

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
        together = draws.read_noise(places_of([4, -1, 2**40], 1, 9), columns, "layer").view(3, 9, columns)
        for place, sample in enumerate([4, -1, 2**40]):
            alone = draws.read_noise(places_of([sample], 1, 3), columns, "layer")
            assert torch.equal(alone, together[place, :3])


def test_samples_that_lie_apart_have_the_numbers_of_their_places():
    before, after, columns = 2, 3, 8
    inside = Draws(0, 0).read_noise(places_of([7, 8], before, after), columns, "x").view(before, 2, after, columns)
    alone = Draws(0, 0).read_noise(places_of([8], 1, before * after), columns, "x")
    assert torch.equal(inside[:, 1].reshape(-1, columns), alone)


def test_any_part_of_a_draw_is_made_alone():
    whole = Draws(0, 0).normal((9, 37), "x")
    assert torch.equal(Draws(0, 0).normal((4, 37), "x"), whole[:4])
    assert torch.equal(Draws(0, 0).normal((9, 12), "x"), whole[:, :12])


def test_seeds_beyond_32_bits_differ():
    """torch's generator keeps 32 bits of a seed, so s and s + 2^32 were one chip."""
    assert Draws(0, 0).key("x") != Draws(2**32, 0).key("x")
    keys = {Draws(0, 0).key("layer", number) & 0xFFFFFFFF for number in range(1000)}
    assert len(keys) > 990


def test_uniform_numbers_are_uniform():
    uniform = Draws(0, 0).uniform((400, 500), "x")
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert kstest(uniform.flatten().numpy(), "uniform").pvalue > CONFIDENCE


def test_threads_do_not_matter():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = Draws(0, 0).normal((100_000,), "x")
        torch.set_num_threads(2)
        assert torch.equal(one, Draws(0, 0).normal((100_000,), "x"))
    finally:
        torch.set_num_threads(threads)
