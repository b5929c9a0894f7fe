"""Integer products are exact, at every size and extreme."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tilewright
from tilewright.runtime.chip.arithmetic import integer_product as module
from tilewright.runtime.chip.arithmetic.integer_product import integer_product, products_are_made_in, two_digit_product


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


@pytest.mark.parametrize("kind", ["int8", "float32"])
@pytest.mark.parametrize("inner", [1, 512, 1024, 1025, 5000])
def test_int8_and_float32_products_are_the_same(monkeypatch, kind, inner):
    vectors = torch.randint(-127, 128, (6, inner)).to(torch.int8)
    matrix = torch.randint(-128, 128, (9, inner)).to(torch.int8)
    vectors[0], matrix[0] = 127, -128  # the largest sum there is
    monkeypatch.setattr(module, "products_are_made_in", lambda: kind)
    assert torch.equal(integer_product(vectors, matrix).long(), vectors.long() @ matrix.long().T)


@pytest.fixture
def chosen(monkeypatch):
    """The choice where int8 and float32 products take so long."""
    monkeypatch.delenv(module.FORCED, raising=False)

    def choose(int8: float, float32: float, exact: bool = True) -> str:
        seconds = iter([int8, float32])
        monkeypatch.setattr(module, "_seconds", lambda _: next(seconds))
        monkeypatch.setattr(module, "_int8_is_exact", lambda: exact)
        return products_are_made_in.__wrapped__()

    return choose


def test_the_faster_of_exact_products_is_chosen(chosen, monkeypatch):
    assert chosen(1.0, 2.0) == "int8"
    assert chosen(25.0, 1.0) == "float32"  # as on processors without VNNI
    assert chosen(1.0, 2.0, exact=False) == "float32"
    monkeypatch.setenv(module.FORCED, "float32")
    assert chosen(1.0, 2.0) == "float32"


def test_a_session_gives_the_same_bits_either_way(small_plan, monkeypatch):
    inputs = {"input_ids": torch.tensor([[5, 6, 7], [8, 9, 1]])}
    outputs = []
    for kind in ("int8", "float32"):
        monkeypatch.setattr(module, "products_are_made_in", lambda kind=kind: kind)
        outputs.append(tilewright.Session(small_plan, 3).advance_to("1h")(inputs))
    for name, output in outputs[0].items():
        assert torch.equal(output, outputs[1][name])


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
