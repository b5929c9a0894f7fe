"""Assumptions of tracing about the sizes that may vary: their limits, and the branches that it followed.

torch.export runs the model at one set of sizes. Where the model, or torch itself, asks something of a size, the answer
at these sizes decides which branch is in the graph, and the question is noted as a guard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sympy
import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import ShapeEnv, free_unbacked_symbols
from torch.utils._sympy.functions import FloorDiv, Max
from torch.utils._sympy.numbers import int_oo
from torch.utils._sympy.value_ranges import ValueRanges, bound_sympy

from tilewright.compiler.frontends.size_arithmetic import NotWrittenError, Ranges, always_true, written
from tilewright.runtime.plan.allowed_sizes import MOST_CONDITIONS
from tilewright.runtime.plan.records import DimensionRecord
from tilewright.runtime.plan.size_conditions import Condition, read_condition
from tilewright.targets.errors import InputError

TORCH = Path(torch.__file__).parent
ASKED_BY_MODELS = TORCH / "nn"
"""Layers and functions of torch that branch on sizes as models do."""
CALLED = ASKED_BY_MODELS / "modules" / "module.py"
"""File that calls layers and asks nothing itself: stands for kernels in C++ that ask while a graph is traced again."""
LARGEST_SIZE = 2**31


@dataclass(frozen=True, eq=False)
class Assumption:
    """One assumption of tracing, over symbols that are named as the plan's dimensions; each is itself alone."""

    expression: sympy.Basic
    by_model: bool
    """True if the model's own code asked. What torch asks of its own is mostly of no consequence to the graph: whether
    a tensor's strides are those of a contiguous one, whether a size is 1."""
    condition: Condition | None
    """Condition of a plan that says what the expression does; None if a plan cannot say it."""

    def holds(self, sizes: Mapping[str, int]) -> bool:
        """True if the assumption holds at these sizes."""
        if self.condition is not None:
            return self.condition.holds(sizes)
        values = {symbol: sympy.Integer(sizes[str(symbol)]) for symbol in self.expression.free_symbols}
        return bool(self.expression.xreplace(values) == sympy.true)

    @property
    def names(self) -> set[str]:
        """Dimensions that the assumption speaks of."""
        return {str(symbol) for symbol in self.expression.free_symbols}


class TracedSizes:
    """The sizes of a traced graph's inputs that may vary."""

    def __init__(self, inputs: Iterable[Tensor], names: Mapping[str, str]) -> None:
        """Read the sizes of traced inputs. names: dimensions by their sizes as text."""
        sizes: list[Any] = [size for value in inputs for size in value.shape if isinstance(size, torch.SymInt)]
        self._nodes = {str(size): size.node for size in sizes if str(size) in names}
        self._names = dict(names)
        self._symbols = {name: _dimension(name) for name in names.values()}
        self.traced = {names[text]: int(node.hint) for text, node in self._nodes.items()}
        """Size that each dimension had while tracing."""
        self._seen: list[tuple[sympy.Basic, bool]] = []

    @cached_property
    def _environment(self) -> ShapeEnv | None:
        return next((node.shape_env for node in self._nodes.values()), None)

    @cached_property
    def limits(self) -> dict[str, DimensionRecord]:
        """The least and largest size of each dimension, the least two or more: tracing takes one for another branch."""
        found: dict[str, ValueRanges[Any]] = {}
        for text, node in self._nodes.items():
            range_ = bound_sympy(node.expr, node.shape_env.var_to_range)
            name = self._names[text]
            found[name] = found[name] & range_ if name in found else range_
        return {name: _limits(found[name]) for name in self.traced}

    def _ranges(self, limits: Mapping[str, DimensionRecord]) -> Ranges:
        """The limits as torch's interval arithmetic takes them."""
        return {
            self._symbols[name]: ValueRanges(one.minimum, int_oo if one.maximum is None else one.maximum)
            for name, one in limits.items()
        }

    @cached_property
    def _from_one(self) -> Ranges:
        return {symbol: ValueRanges(1, range_.upper) for symbol, range_ in self._ranges(self.limits).items()}

    @cached_property
    def assumptions(self) -> list[Assumption]:
        """Assumptions that do not follow from the limits, each once, as far as the graph was traced by now.

        Those of the model are here even where they follow from the least sizes, which trials may lower.
        """
        self._seen = list(self._guards())
        return self._read([*((relation, True) for relation in self._relations()), *self._seen])

    def asked_later(self) -> list[str]:
        """Conditions that hold where the compiler's own passes asked something of a size, since ``assumptions``.

        What torch asks while shapes of new nodes are computed decides nothing: passes write the nodes themselves.
        """
        asked = [guard for guard in self._guards() if guard[1] and guard not in self._seen]
        return self.conditions(self._read(asked), {})

    def _read(self, asked: list[tuple[sympy.Basic, bool]]) -> list[Assumption]:
        known, traced = self._by_dimension, self._ranges(self.limits)
        found = []
        for guard, by_model in asked:
            expression = guard.xreplace(known)
            unknown = expression.free_symbols - set(self._symbols.values())
            if unknown:  # a size that no input has alone: those beside it stay as they were traced
                fixed = [sympy.Eq(symbol, self.traced[str(symbol)]) for symbol in expression.free_symbols - unknown]
                found += [self._assumption(equation, by_model) for equation in fixed]
            elif not always_true(expression, self._from_one if by_model else traced):
                found.append(self._assumption(expression, by_model))
        return _each_once(found)

    def not_all_one(self, names: list[str]) -> Assumption:
        """Assumption that not all of these sizes are one."""
        expression = Max(*(self._symbols[name] for name in names)) >= 2
        return self._assumption(expression, True)

    def conditions(self, kept: list[Assumption], limits: Mapping[str, DimensionRecord]) -> list[str]:
        """Conditions that a plan sets on its sizes beside their limits, the shortest first.

        The sizes in what a plan cannot say are fixed to what they were while tracing: never wrong, and seldom.
        """
        ranges = {**self._from_one, **self._ranges(limits)}
        asked = [one for one in kept if not always_true(one.expression, ranges)]
        texts = {one.condition.text for one in asked if one.condition is not None}
        fixed = {name for one in asked if one.condition is None for name in one.names}
        if len(texts) + len(fixed) > MOST_CONDITIONS:
            texts, fixed = set(), set().union(*(one.names for one in asked))
        texts |= {f"{name} == {self.traced[name]}" for name in fixed}
        return sorted(texts, key=lambda text: (len(text), text))

    def _assumption(self, expression: sympy.Basic, by_model: bool) -> Assumption:
        try:
            condition = read_condition(written(expression, self._from_one))
        except (NotWrittenError, InputError):
            condition = None
        return Assumption(expression, by_model, condition)

    def _guards(self) -> Iterable[tuple[sympy.Basic, bool]]:
        if self._environment is None:
            return
        asked = [(guard.expr, _is_by_model(guard.sloc.framework_loc)) for guard in self._environment.guards]
        for asserted in self._environment.deferred_runtime_asserts.values():
            asked += [(one.expr, True) for one in asserted]
        for expression, by_model in asked:
            if not free_unbacked_symbols(expression):  # else it is about values, not sizes
                yield self._environment.replace(expression), by_model

    @cached_property
    def _by_dimension(self) -> dict[sympy.Basic, sympy.Expr]:
        """Expressions in dimensions for torch's symbols; a size of 2 * s makes s half a dimension."""
        known: dict[sympy.Basic, sympy.Expr] = {}
        for text, node in self._nodes.items():
            if node.expr.is_Symbol:
                known[node.expr] = self._symbols[self._names[text]]
        for text, node in self._nodes.items():
            unknown = node.expr.free_symbols - known.keys()
            if len(unknown) == 1:
                (symbol,) = unknown
                factor, rest = node.expr.coeff(symbol), node.expr.xreplace({symbol: sympy.S.Zero})
                if factor.is_Integer and factor > 0 and sympy.expand(factor * symbol + rest - node.expr) == 0:
                    known[symbol] = FloorDiv(self._symbols[self._names[text]] - rest.xreplace(known), factor)
        return known

    def _relations(self) -> Iterable[sympy.Basic]:
        """Equations for sizes that are sums of others: that the second dimension is twice the first, say."""
        for text, node in self._nodes.items():
            symbol = self._symbols[self._names[text]]
            relation = sympy.Eq(node.expr, symbol)
            if relation.xreplace(self._by_dimension) != sympy.true:
                yield relation


def _dimension(name: str) -> sympy.Symbol:
    return sympy.Symbol(name, integer=True, positive=True)


def _limits(found: ValueRanges[Any]) -> DimensionRecord:
    least, most = found.lower, found.upper
    return DimensionRecord(
        minimum=max(2, int(least)) if getattr(least, "is_Integer", False) else 2,
        maximum=int(most) if getattr(most, "is_Integer", False) and most < LARGEST_SIZE else None,
    )


def _is_by_model(where: Any) -> bool:
    """True if a guard was asked for by the model's code, or by code that might be the model's."""
    path = Path(getattr(where, "filename", ""))
    return not path.is_relative_to(TORCH) or (path.is_relative_to(ASKED_BY_MODELS) and path != CALLED)


def _each_once(assumptions: list[Assumption]) -> list[Assumption]:
    """Assumptions without repetitions; one that the model asked for as well is the model's."""
    found: dict[object, Assumption] = {}
    for one in assumptions:
        key = one.condition.text if one.condition is not None else one.expression
        if key not in found or one.by_model:
            found[key] = one
    return list(found.values())
