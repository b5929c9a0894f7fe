"""Integer products are exact, at every size and extreme."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.runtime import integer_product as module
from tilewright.runtime.integer_product import integer_product, two_digit_product


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 40), inner=st.integers(1, 700), columns=st.integers(1, 70), seed=st.integers(0, 99),
    extreme=st.booleans(),
)  # fmt: skip
def test_equals_the_product_in_64_bit_integers(rows, inner, columns, seed, extreme):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randint(-127, 128, (rows, inner), generator=generator)
    matrix = torch.randint(-128, 128, (columns, inner), generator=generator)
    if extreme:
        vectors, matrix = vectors.sign() * 127, matrix.sign() * 127
    product = integer_product(vectors.to(torch.int8), matrix.to(torch.int8))
    assert torch.equal(product.long(), vectors @ matrix.T)


def test_larger_inputs_are_exact_too():
    vectors = torch.randint(-32767, 32768, (5, 2000), dtype=torch.int32)
    matrix = torch.randint(-128, 128, (7, 2000)).to(torch.int8)
    assert torch.equal(integer_product(vectors, matrix).long(), vectors.long() @ matrix.long().T)


@pytest.mark.parametrize("inner", [1, 512, 5000])
def test_processors_without_exact_int8_products_give_the_same(monkeypatch, inner):
    vectors = torch.randint(-127, 128, (6, inner)).to(torch.int8)
    matrix = torch.randint(-128, 128, (9, inner)).to(torch.int8)
    monkeypatch.setattr(module, "eight_bit_products_are_exact", lambda: False)
    assert torch.equal(integer_product(vectors, matrix).long(), vectors.long() @ matrix.long().T)


@pytest.mark.parametrize("rows", [1, 7, 512, 1000, 2000, 5000])
@pytest.mark.parametrize("base", [64, 128])
def test_two_digits_are_the_sum_rounded_once(rows, base):
    """Against 64-bit integers: the same float32, where 32 bits hold the sum and where they do not."""
    generator = torch.Generator().manual_seed(rows + base)
    draw = lambda *size: torch.randint(-127, 128, size, dtype=torch.int8, generator=generator)  # noqa: E731
    vectors, high, low = draw(24, rows), draw(32, rows), draw(32, rows)
    vectors[0], high[0], low[0] = 127, 127, 127  # the largest sum there is
    whole = base * (vectors.long() @ high.long().T) + vectors.long() @ low.long().T
    found = two_digit_product((vectors, high), (vectors, low), base)
    if rows * 127 * 127 < 2**24:
        assert torch.equal(found, whole.to(torch.float32))
    torch.testing.assert_close(found.double(), whole.double(), rtol=2**-22, atol=0)
