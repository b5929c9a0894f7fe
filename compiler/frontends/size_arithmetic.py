"""Sums of sizes as torch writes them while it traces (sympy), in the words of a plan's conditions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import sympy
from torch.utils._sympy import functions as torch_functions
from torch.utils._sympy.value_ranges import ValueRanges, bound_sympy

Ranges = Mapping[sympy.Symbol, ValueRanges[Any]]
"""Ranges of sizes, by their symbols."""
LARGEST_FRACTION = 2**20
"""Largest numerator and denominator of fractions that sizes are multiplied with: float64 is exact so far."""
_QUOTIENTS = (torch_functions.IntTrueDiv, torch_functions.FloatTrueDiv)
_ROUNDED_DOWN = (torch_functions.FloorToInt, torch_functions.TruncToInt, sympy.floor)
_ROUNDED_UP = (torch_functions.CeilToInt, sympy.ceiling)
_REMAINDERS = (torch_functions.Mod, torch_functions.PythonMod, sympy.Mod)
_LARGEST, _LEAST = (torch_functions.Max, sympy.Max), (torch_functions.Min, sympy.Min)


class NotWrittenError(Exception):
    """A condition that whole numbers cannot say."""


def always_true(condition: sympy.Basic, ranges: Ranges) -> bool:
    """True if a condition follows from the limits of the sizes in it, as far as interval arithmetic shows."""
    try:
        return bool(condition == sympy.true or bound_sympy(condition, dict(ranges)).lower == sympy.true)
    except Exception:  # noqa: BLE001 (torch's interval arithmetic does not know every function)
        return False


def written(condition: sympy.Basic, ranges: Ranges) -> str:
    """Text of the condition, as ``size_conditions.py`` reads it. Raises ``NotWrittenError`` if it has none."""
    match condition:
        case sympy.And():
            return " and ".join(sorted(_joined(part, ranges) for part in condition.args))
        case sympy.Or():
            return " or ".join(sorted(_joined(part, ranges) for part in condition.args))
        case sympy.Not():
            return f"not {_joined(condition.args[0], ranges)}"
        case sympy.Rel():
            sign, left, right = _simplified(condition, ranges)
            return f"{_whole(left)} {sign.rel_op} {_whole(right)}"
    raise NotWrittenError(str(condition))


def _joined(part: sympy.Basic, ranges: Ranges) -> str:
    text = written(part, ranges)
    return text if isinstance(part, sympy.Rel) else f"({text})"


def _simplified(comparison: sympy.Rel, ranges: Ranges) -> tuple[type[sympy.Rel], sympy.Expr, sympy.Expr]:
    """A comparison of whole numbers, without factors that both sides share and that are above zero at all sizes."""
    (left, below_left), (right, below_right) = (_fraction(side, ranges) for side in comparison.args)
    sign, kept = type(comparison), []
    for factor in sympy.Mul.make_args(sympy.factor_terms(left * below_right - right * below_left)):
        if factor.is_Integer and factor < 0:
            sign = sign(0, 1, evaluate=False).reversedsign.func
        elif not factor.is_Integer and not _is_positive(factor, ranges):
            kept.append(factor)
    difference = sympy.expand(sympy.Mul(*kept)) if kept else left * below_right - right * below_left
    never_below = {sympy.Le: difference, sympy.Ge: -difference}.get(sign)  # e % k <= 0 is e % k == 0
    if never_below is not None and _is_remainder(never_below):
        sign = sympy.Eq
    if sign in (sympy.Eq, sympy.Ne):
        remainder = _as_remainder(difference)
        if remainder is not None:
            return sign, *remainder
    terms = sympy.Add.make_args(difference)
    left = sympy.Add(*(term for term in terms if not term.could_extract_minus_sign()))
    right = sympy.Add(*(-term for term in terms if term.could_extract_minus_sign()))
    if left.is_Integer and not right.is_Integer:
        return sign(0, 1, evaluate=False).reversed.func, right, left
    if right.is_Integer:
        constant, left = left.as_coeff_Add()
        right -= constant
    return sign, left, right


def _as_remainder(difference: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr] | None:
    """Remainder and number that are equal where the difference is zero: k * (e // k) is e - e % k."""
    for term in sympy.Add.make_args(difference):
        factor, quotient = term.as_coeff_Mul()
        if not isinstance(quotient, torch_functions.FloorDiv) or abs(factor) != quotient.args[1]:
            continue
        divided, by = quotient.args
        rest = (difference - term) * sympy.sign(factor) + divided
        if not rest.is_Integer or not 0 <= rest < by:
            continue
        constant, varying = divided.as_coeff_Add()
        if varying.could_extract_minus_sign():  # -x and x leave remainders that add up to the divisor, or none
            return torch_functions.PythonMod(-varying, by), (constant - rest) % by
        return torch_functions.PythonMod(varying, by), (rest - constant) % by
    return None


def _is_remainder(number: sympy.Expr) -> bool:
    """True if a number is e - k * (e // k)."""
    quotients = [part for part in number.atoms(torch_functions.FloorDiv) if number.coeff(part) == -part.args[1]]
    return any(sympy.expand(number - (part.args[0] - part * part.args[1])) == 0 for part in quotients)


def _is_positive(number: sympy.Expr, ranges: Ranges) -> bool:
    return always_true(sympy.Ge(number, 1, evaluate=False), ranges)


def _fraction(number: sympy.Expr, ranges: Ranges) -> tuple[sympy.Expr, sympy.Expr]:
    """Numerator and denominator above zero, both of whole numbers alone."""
    match number:
        case sympy.Integer() | sympy.Symbol(is_integer=True):
            return number, sympy.S.One
        case sympy.Float() | sympy.Rational():
            exact = sympy.Rational(number)
            if max(abs(exact.p), exact.q) >= LARGEST_FRACTION:
                raise NotWrittenError(str(number))
            return sympy.Integer(exact.p), sympy.Integer(exact.q)
        case torch_functions.ToFloat() | torch_functions.Identity():
            return _fraction(number.args[0], ranges)
        case sympy.Add():
            return reduce(_sum, (_fraction(term, ranges) for term in number.args))
        case sympy.Mul():
            factors = [_fraction(factor, ranges) for factor in number.args]
            return sympy.Mul(*(above for above, _ in factors)), sympy.Mul(*(below for _, below in factors))
        case sympy.Pow(exp=sympy.Integer() as power) if 0 < power <= 4:
            above, below = _fraction(number.base, ranges)
            return above**power, below**power
    if isinstance(number, _QUOTIENTS):
        (above, under), (below, over) = (_fraction(part, ranges) for part in number.args)
        if not _is_positive(below, ranges):
            raise NotWrittenError(str(number))
        return above * over, under * below
    return _rounded(number, ranges), sympy.S.One


def _sum(one: tuple[sympy.Expr, sympy.Expr], other: tuple[sympy.Expr, sympy.Expr]) -> tuple[sympy.Expr, sympy.Expr]:
    if one[1] == other[1]:
        return one[0] + other[0], one[1]
    return one[0] * other[1] + other[0] * one[1], one[1] * other[1]


def _rounded(number: sympy.Expr, ranges: Ranges) -> sympy.Expr:
    """A function whose value is a whole number, of whole numbers."""
    if isinstance(number, _ROUNDED_DOWN):
        above, below = _fraction(number.args[0], ranges)
        if isinstance(number, torch_functions.TruncToInt) and not _is_positive(above + 1, ranges):
            raise NotWrittenError(str(number))
        return torch_functions.FloorDiv(above, below)
    if isinstance(number, _ROUNDED_UP):
        above, below = _fraction(number.args[0], ranges)
        return -torch_functions.FloorDiv(-above, below)
    wholes = []
    for part in number.args:
        above, below = _fraction(part, ranges)
        if below != 1:
            raise NotWrittenError(str(number))
        wholes.append(above)
    if isinstance(number, (torch_functions.FloorDiv, *_REMAINDERS, *_LARGEST, *_LEAST)):
        return number.func(*wholes)
    if isinstance(number, torch_functions.ModularIndexing):
        return torch_functions.PythonMod(torch_functions.FloorDiv(wholes[0], wholes[1]), wholes[2])
    raise NotWrittenError(str(number))


def _whole(number: sympy.Expr) -> str:
    """A sum of whole numbers as text."""
    match number:
        case sympy.Integer() | sympy.Symbol():
            return str(number)
        case sympy.Add():
            first, *others = sorted(number.args, key=lambda term: (term.could_extract_minus_sign(), term.is_Integer))
            text = _whole(first)
            for term in others:
                text += f" - {_factor(-term)}" if term.could_extract_minus_sign() else f" + {_factor(term)}"
            return text
        case sympy.Mul():
            if number.could_extract_minus_sign():
                return f"-{_factor(-number)}"
            return " * ".join(_factor(factor) for factor in number.args)
        case sympy.Pow(exp=sympy.Integer() as power) if 0 < power <= 4:
            return " * ".join([_factor(number.base)] * int(power))
    return _function(number)


def _function(number: sympy.Expr) -> str:
    """Text of a maximum, a minimum, a quotient rounded down or a remainder."""
    parts = [_whole(part) for part in number.args]
    if isinstance(number, _LARGEST):
        return f"max({', '.join(parts)})"
    if isinstance(number, _LEAST):
        return f"min({', '.join(parts)})"
    if isinstance(number, torch_functions.FloorDiv):
        return f"{_factor(number.args[0])} // {_factor(number.args[1])}"
    if isinstance(number, _REMAINDERS):
        return f"{_factor(number.args[0])} % {_factor(number.args[1])}"
    raise NotWrittenError(str(number))


def _factor(number: sympy.Expr) -> str:
    """A sum of whole numbers as text that may stand beside an operator, in brackets if need be."""
    text = _whole(number)
    stands_alone = number.is_Symbol or (number.is_Integer and number >= 0) or isinstance(number, (*_LARGEST, *_LEAST))
    return text if stands_alone else f"({text})"
