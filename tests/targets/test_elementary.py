"""Logarithm and exponential are right, and made of operations that every processor rounds alike."""

import numpy
import torch

from tilewright.targets.devices.elementary import exponential, logarithm, square_root


def test_logarithm_is_right_to_the_last_bits():
    x = torch.cat([torch.logspace(-9, 9, 100_001, dtype=torch.float64).float(), torch.linspace(0.5, 2, 10_001)])
    right = x.double().log()
    assert ((logarithm(x).double() - right).abs() <= 1.5e-7 * right.abs().clamp(min=0.5)).all()
    assert logarithm(torch.ones(1)).item() == 0


def test_exponential_is_right_to_the_last_bits():
    x = torch.linspace(-86, 87, 100_001)
    right = x.double().exp()
    assert ((exponential(x).double() / right - 1).abs() < 2.5e-7).all()
    assert exponential(torch.zeros(1)).item() == 1


def test_square_root_is_rounded_correctly():
    x = torch.rand(100_003, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        square_root(x), torch.from_numpy(numpy.sqrt(x.numpy()))
    )  # numpy takes the processor's, which is IEEE's


def test_arguments_beyond_the_range_are_clipped():
    made = exponential(torch.tensor([-1e30, -200.0, 200.0, 1e30]))
    assert made.isfinite().all()
    assert made[0] < 2e-38
    assert made[3] > 1e38
