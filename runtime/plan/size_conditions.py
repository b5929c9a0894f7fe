"""Conditions on a plan's sizes, such as "sequence % 4 == 0": read as data, never run as code.

A condition compares whole numbers and names of dimensions, with + - * // % min max between them, and joins comparisons
by and, or, not.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from tilewright.targets.errors import InputError

LARGEST_NUMBER = 2**63 - 1
DEEPEST = 40
"""Largest depth of operators inside one another."""

Sizes = Mapping[str, int]
_SIGNS = re.compile(r"[A-Za-z0-9_+\-*/%<>=!(), ]{1,1024}")
_ARITHMETIC: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], Callable[[int, int], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_CHOICES = {"min": min, "max": max}


@dataclass(frozen=True)
class Condition:
    """A condition on sizes, as data."""

    text: str
    names: frozenset[str]
    """Dimensions that the condition speaks of."""
    numbers: frozenset[int]
    """Whole numbers that the condition compares with."""
    compute: Callable[[Sizes], bool] = field(compare=False)

    def holds(self, sizes: Sizes) -> bool:
        """True if the condition is true at these sizes; False where it cannot be computed (a division by zero)."""
        try:
            return self.compute(sizes)
        except (ZeroDivisionError, OverflowError):
            return False


@lru_cache(maxsize=1024)
def read_condition(text: str) -> Condition:
    """A condition from its text. Raises ``InputError`` if it is anything but comparisons of sizes."""
    try:
        if _SIGNS.fullmatch(text) is None:
            raise _NotOneError("signs that do not belong there, or too many")
        tree = ast.parse(text, mode="eval").body
        compute = _truth(tree, DEEPEST)
    except (SyntaxError, ValueError, MemoryError, RecursionError, _NotOneError) as error:
        reason = str(error) if isinstance(error, _NotOneError) else "it cannot be read"
        raise InputError(
            f"{text[:80]!r} is not a condition on sizes ({reason}); it may compare whole numbers and names of "
            "dimensions with + - * // % min max between them, joined by and, or, not"
        ) from error
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)) - _CHOICES.keys()
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    numbers = frozenset(value for value in constants if isinstance(value, int))
    return Condition(text, names, numbers, compute)


class _NotOneError(Exception):
    """Refusal of a text that holds anything but comparisons of sizes."""


def _truth(node: ast.expr, depth: int) -> Callable[[Sizes], bool]:
    """Function from sizes to what a comparison, or several that are joined, is there."""
    if depth == 0:
        raise _NotOneError("too many operators inside one another")
    match node:
        case ast.BoolOp():
            joined = all if isinstance(node.op, ast.And) else any
            parts = [_truth(value, depth - 1) for value in node.values]
            return lambda sizes: joined(part(sizes) for part in parts)
        case ast.UnaryOp(op=ast.Not()):
            denied = _truth(node.operand, depth - 1)
            return lambda sizes: not denied(sizes)
        case ast.Compare():
            if any(type(sign) not in _COMPARISONS for sign in node.ops):
                raise _NotOneError("a comparison that is none of == != < <= > >=")
            signs = [_COMPARISONS[type(sign)] for sign in node.ops]
            sides = [_number(side, depth - 1) for side in (node.left, *node.comparators)]

            def compare(sizes: Sizes) -> bool:
                numbers = [side(sizes) for side in sides]
                return all(sign(*pair) for sign, *pair in zip(signs, numbers, numbers[1:], strict=False))

            return compare
    raise _NotOneError("it compares nothing")


def _number(node: ast.expr, depth: int) -> Callable[[Sizes], int]:
    """Function from sizes to a number that is computed of them."""
    if depth == 0:
        raise _NotOneError("too many operators inside one another")
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool) and value <= LARGEST_NUMBER:
            return lambda _: value
        case ast.Name(id=name) if name not in _CHOICES:
            return lambda sizes: sizes[name]
        case ast.UnaryOp(op=ast.USub()):
            negated = _number(node.operand, depth - 1)
            return lambda sizes: -negated(sizes)
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            operation = _ARITHMETIC[type(node.op)]
            left, right = _number(node.left, depth - 1), _number(node.right, depth - 1)
            return lambda sizes: _bounded(operation(left(sizes), right(sizes)))
        case ast.Call(func=ast.Name(id=name), args=[_, _, *_], keywords=[]) if name in _CHOICES:
            choice, given = _CHOICES[name], [_number(argument, depth - 1) for argument in node.args]
            return lambda sizes: choice(argument(sizes) for argument in given)
    raise _NotOneError("something that is no number of at most 64 bits, name or sum of them")


def _bounded(number: int) -> int:
    if abs(number) > LARGEST_NUMBER:
        raise OverflowError
    return number
