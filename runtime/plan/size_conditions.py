"""Conditions on a plan's sizes, such as "sequence % 4 == 0": read as data, never run as code.

A condition compares whole numbers and names of dimensions, with + - * // % min max between them, and joins comparisons
by and, or, not.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tilewright.targets.errors import InputError

LARGEST_NUMBER = 2**63 - 1
DEEPEST = 40
"""Largest depth of operators inside one another."""

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
    tree: ast.expr

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """True if the condition is true at these sizes; False where it cannot be computed (a division by zero)."""
        try:
            return _is_true(self.tree, sizes)
        except (ZeroDivisionError, OverflowError):
            return False


@lru_cache(maxsize=1024)
def read_condition(text: str) -> Condition:
    """A condition from its text. Raises ``InputError`` if it is anything but comparisons of sizes."""
    try:
        if _SIGNS.fullmatch(text) is None:
            raise _NotOneError("signs that do not belong there, or too many")
        tree = ast.parse(text, mode="eval").body
        _check_truth(tree, DEEPEST)
    except (SyntaxError, ValueError, MemoryError, RecursionError, _NotOneError) as error:
        reason = str(error) if isinstance(error, _NotOneError) else "it cannot be read"
        raise InputError(
            f"{text[:80]!r} is not a condition on sizes ({reason}); it may compare whole numbers and names of "
            "dimensions with + - * // % min max between them, joined by and, or, not"
        ) from error
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)) - _CHOICES.keys()
    return Condition(text, names, tree)


class _NotOneError(Exception):
    """Refusal of a text that holds anything but comparisons of sizes."""


def _check_truth(node: ast.expr, depth: int) -> None:
    if depth == 0:
        raise _NotOneError("too many operators inside one another")
    match node:
        case ast.BoolOp():
            for value in node.values:
                _check_truth(value, depth - 1)
        case ast.UnaryOp(op=ast.Not()):
            _check_truth(node.operand, depth - 1)
        case ast.Compare():
            if any(type(sign) not in _COMPARISONS for sign in node.ops):
                raise _NotOneError("a comparison that is none of == != < <= > >=")
            for side in (node.left, *node.comparators):
                _check_number(side, depth - 1)
        case _:
            raise _NotOneError("it compares nothing")


def _check_number(node: ast.expr, depth: int) -> None:
    if depth == 0:
        raise _NotOneError("too many operators inside one another")
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool) and value <= LARGEST_NUMBER:
            pass
        case ast.Name(id=name) if name not in _CHOICES:
            pass
        case ast.UnaryOp(op=ast.USub()):
            _check_number(node.operand, depth - 1)
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            _check_number(node.left, depth - 1)
            _check_number(node.right, depth - 1)
        case ast.Call(func=ast.Name(id=name), args=[_, _, *_], keywords=[]) if name in _CHOICES:
            for argument in node.args:
                _check_number(argument, depth - 1)
        case _:
            raise _NotOneError("something that is no number of at most 64 bits, name or sum of them")


def _is_true(node: ast.expr, sizes: Mapping[str, int]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And()):
            return all(_is_true(value, sizes) for value in node.values)
        case ast.BoolOp():
            return any(_is_true(value, sizes) for value in node.values)
        case ast.UnaryOp():
            return not _is_true(node.operand, sizes)
        case ast.Compare():
            numbers = [_number(value, sizes) for value in (node.left, *node.comparators)]
            pairs = zip(node.ops, numbers, numbers[1:], strict=False)
            return all(_COMPARISONS[type(sign)](left, right) for sign, left, right in pairs)
    raise AssertionError(node)


def _number(node: ast.expr, sizes: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int() as value):
            return value
        case ast.Name():
            return sizes[node.id]
        case ast.UnaryOp():
            return -_number(node.operand, sizes)
        case ast.BinOp():
            found = _ARITHMETIC[type(node.op)](_number(node.left, sizes), _number(node.right, sizes))
            if abs(found) > LARGEST_NUMBER:
                raise OverflowError
            return found
        case ast.Call(func=ast.Name(id=name)):
            return _CHOICES[name](*(_number(argument, sizes) for argument in node.args))
    raise AssertionError(node)
