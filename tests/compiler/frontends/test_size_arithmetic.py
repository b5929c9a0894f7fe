"""Torch's expressions of sizes, in whole numbers: the text says at every size what sympy says."""

from itertools import product

import pytest
import sympy
from torch.utils._sympy.functions import (
    CeilToInt,
    FloatPow,
    FloatTrueDiv,
    FloorDiv,
    IntTrueDiv,
    Max,
    Min,
    Mod,
    ModularIndexing,
    PythonMod,
    ToFloat,
    TruncToInt,
)
from torch.utils._sympy.numbers import int_oo
from torch.utils._sympy.value_ranges import ValueRanges

from tilewright.compiler.frontends.size_arithmetic import NotWrittenError, always_true, written
from tilewright.runtime.plan.size_conditions import read_condition

BATCH, LENGTH = (sympy.Symbol(name, integer=True, positive=True) for name in ("batch", "sequence"))
RANGES = {BATCH: ValueRanges(1, int_oo), LENGTH: ValueRanges(1, int_oo)}

WRITTEN = [
    (sympy.Ne(8 * LENGTH, 24), "sequence != 3"),
    (sympy.Le(-LENGTH, -5), "sequence >= 5"),
    (sympy.Gt(12, 3 * LENGTH * BATCH), "batch * sequence < 4"),
    (sympy.Eq(Mod(LENGTH, 4), 0), "sequence % 4 == 0"),
    (sympy.Eq(16 * LENGTH * BATCH, 32 * BATCH * FloorDiv(LENGTH, 2)), "sequence % 2 == 0"),
    (sympy.Eq(2 * FloorDiv(LENGTH - 1, 2) + 2, LENGTH), "sequence % 2 == 0"),
    (sympy.Ne(3 * FloorDiv(LENGTH + 2, 3) - 1, LENGTH), "sequence % 3 != 2"),
    (sympy.Eq(-3 * FloorDiv(-LENGTH, 3) - 2, LENGTH), "sequence % 3 == 1"),
    (sympy.Le(LENGTH, 2 * FloorDiv(LENGTH, 2)), "sequence % 2 == 0"),
    (sympy.Ge(3 * FloorDiv(LENGTH + 1, 3), LENGTH + 1), "sequence % 3 == 2"),
    (sympy.Eq(2 * FloorDiv(LENGTH, 2) + 3, LENGTH), None),
    (sympy.Ge(2 * FloorDiv(LENGTH, 2), LENGTH - 1), None),
    (sympy.Lt(2 * FloorDiv(LENGTH - 3, 4), FloorDiv(LENGTH - 3, 2) + 1), None),
    (sympy.Eq(4 * CeilToInt(IntTrueDiv(LENGTH, 4)), LENGTH), "sequence % 4 == 0"),
    (sympy.Eq(2 * TruncToInt(0.5 * ToFloat(LENGTH)), LENGTH), "sequence % 2 == 0"),
    (sympy.Gt(TruncToInt(1.5 * ToFloat(LENGTH) + 0.25), 7), None),
    (sympy.Gt(IntTrueDiv(LENGTH, BATCH), 1.75), "4 * sequence > 7 * batch"),
    (sympy.Le(FloatTrueDiv(ToFloat(LENGTH), 2.0 * ToFloat(BATCH)) + 0.5, 3.0), None),
    (sympy.Lt(FloorDiv(LENGTH, 3) - 1, (FloorDiv(LENGTH, 3) - 1) ** 2), None),
    (sympy.Lt(Max(LENGTH, BATCH + 1) - Min(LENGTH, BATCH), 4), None),
    (sympy.Eq(ModularIndexing(LENGTH, 2, 3), 1), None),
    (sympy.Eq(LENGTH + PythonMod(-LENGTH, 4), 8), None),
    (sympy.Or(sympy.Eq(LENGTH, 1), sympy.And(sympy.Ne(BATCH, 1), sympy.Lt(LENGTH, BATCH))), None),
    (sympy.Not(sympy.Or(sympy.Eq(LENGTH, 7), sympy.Eq(BATCH, 1)), evaluate=False), None),
    (sympy.Gt((LENGTH - 1) * (BATCH - 1), 0), None),
]


@pytest.mark.parametrize(("expression", "text"), WRITTEN, ids=str)
def test_the_text_says_what_sympy_says(expression, text):
    found = written(expression, RANGES)
    assert text is None or found == text
    condition = read_condition(found)
    for batch, length in product(range(1, 9), range(1, 26)):
        exact = expression.subs({BATCH: batch, LENGTH: length})
        assert condition.holds({"batch": batch, "sequence": length}) == bool(exact), (found, batch, length)


@pytest.mark.parametrize(
    "expression",
    [
        sympy.Eq(TruncToInt(0.3 * ToFloat(LENGTH)), 2),  # 0.3 is no short fraction of two: rounding would matter
        sympy.Gt(FloatPow(ToFloat(LENGTH), 0.5), 2.5),
        sympy.Gt(TruncToInt(0.5 * ToFloat(LENGTH - 9)), 2),  # truncation is not rounding down below zero
        sympy.Gt(IntTrueDiv(8, LENGTH - BATCH), 2),
        BATCH,
    ],
    ids=str,
)
def test_what_whole_numbers_cannot_say(expression):
    with pytest.raises(NotWrittenError):
        written(expression, RANGES)


def test_what_follows_from_limits():
    from_ten = {**RANGES, LENGTH: ValueRanges(10, 64)}
    assert always_true(sympy.Ge(16 * BATCH * (FloorDiv(LENGTH, 5) - 1), 2), from_ten)
    assert always_true(LENGTH <= 64, from_ten)
    assert not always_true(LENGTH <= 64, RANGES)
    assert not always_true(sympy.Ne(LENGTH, 12), from_ten)
    assert not always_true(FloatPow(ToFloat(LENGTH), 0.5) > 9, RANGES)
