"""The multiple-choice knapsack, solved exactly: one target a layer, the least of one figure, budgets for others.

Latency is the longest path through the network: each call has a time at which it is done, and waits for others.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from tilewright.compiler.assignment.problem import LATENCY, Problem

Row = dict[int, float]
"""Linear sum over variables: column of a variable -> coefficient."""
ROUNDING = 1e-9
"""Part of a budget by which it may be exceeded, since sums are in floating point."""
SCALE = 1e4
"""Number that a budget's room is scaled to: the solver's absolute tolerance is a ten-thousandth as large beside it."""
MOST_REFUSED = 100
"""Largest number of choices that are left out one by one: those over a budget by less than the solver's tolerance."""
TOLERANCE = 1e-5
"""Part of a budget that is larger than what the solver takes for nothing."""


def solve(problem: Problem, minimise: str, budgets: Mapping[str, float]) -> dict[str, str] | None:
    """Choice with the least figure, layer -> target; None if no choice keeps the budgets."""
    program = _Program(problem, minimise, budgets)
    for _ in range(MOST_REFUSED):
        choice = program.run()
        if choice is None or keeps(problem.figures(choice), budgets):
            return None if choice is None else _polished(problem, choice, minimise, budgets)
        program.refuse(choice)  # it exceeds a budget by less than what the solver takes for nothing
    narrowed = {name: (1 - TOLERANCE) * budget for name, budget in budgets.items()}
    choice = _Program(problem, minimise, narrowed).run()
    if choice is None or not keeps(problem.figures(choice), budgets):
        return None
    return _polished(problem, choice, minimise, budgets)


def closest(problem: Problem, budgets: Mapping[str, float]) -> dict[str, str]:
    """The choice whose worst excess over a budget, in parts of it, is smallest."""
    choice = _Program(problem, None, budgets).run()
    assert choice is not None  # any excess is allowed
    return choice


def keeps(figures: Mapping[str, float], budgets: Mapping[str, float]) -> bool:
    """True if no budget is exceeded."""
    return all(figures[name] <= budget + ROUNDING * abs(budget) for name, budget in budgets.items())


class _Program:
    """Mixed-integer program. Variables: one of 0 or 1 an option, then the end of each call, then the worst excess."""

    def __init__(self, problem: Problem, minimise: str | None, budgets: Mapping[str, float]) -> None:
        """Write the program's rows. minimise: a figure; None for the worst excess over the budgets."""
        self.problem = problem
        self.options = [option for options in problem.options.values() for option in options]
        self.place = {(option.layer, option.target): number for number, option in enumerate(self.options)}
        self.timed = LATENCY in (minimise, *budgets)
        self.ends = {call.node: len(self.options) + n for n, call in enumerate(problem.calls)} if self.timed else {}
        self.total = len(self.options) + len(self.ends)  # the end of all
        self.excess = self.total + 1
        self.rows: list[tuple[Row, float, float]] = []
        self.forbidden: list[int] = []
        """Options that are over a budget by themselves."""
        for options in self.problem.options.values():
            self.rows.append(({self.place[o.layer, o.target]: 1.0 for o in options}, 1.0, 1.0))
        if self.timed:
            self._times()
        for name, budget in budgets.items():
            self._limit(name, budget, excess=minimise is None)
        self.costs = self._figure(minimise)[0] if minimise is not None else {self.excess: 1.0}

    def refuse(self, choice: Mapping[str, str]) -> None:
        """Leave this one choice out."""
        row = {self.place[layer, target]: 1.0 for layer, target in choice.items()}
        self.rows.append((row, -math.inf, len(choice) - 1.0))

    def run(self) -> dict[str, str] | None:
        """Best choice, layer -> target; None if nothing is possible."""
        is_option = np.arange(self.excess + 1) < len(self.options)
        objective = np.zeros(len(is_option))
        objective[list(self.costs)] = list(self.costs.values())
        objective /= np.abs(objective).max() or 1.0
        cells = [(r, column, value) for r, (row, _, _) in enumerate(self.rows) for column, value in row.items()]
        rows, columns, values = zip(*cells, strict=True)
        matrix = coo_array((values, (rows, columns)), shape=(len(self.rows), len(is_option))).tocsr()
        lower, upper = [low for _, low, _ in self.rows], [high for _, _, high in self.rows]
        largest = np.where(is_option, 1, np.inf)
        largest[self.forbidden] = 0
        with _silent_stdout():
            result = milp(
                objective,
                integrality=is_option,
                bounds=Bounds(0, largest),
                constraints=LinearConstraint(matrix, lower, upper),
                options={"mip_rel_gap": 0.0},
            )
        if result.x is None:
            return None
        return {
            layer: max(options, key=lambda option: result.x[self.place[option.layer, option.target]]).target
            for layer, options in self.problem.options.items()
        }

    def _limit(self, name: str, budget: float, *, excess: bool) -> None:
        """Add a row that keeps a figure in its budget, in parts of the room that it leaves; or counts the excess."""
        row, fixed = self._figure(name)
        room = budget * (1 + ROUNDING) - fixed
        if excess:
            scale = budget or max(row.values(), default=0.0) or 1.0
            row = {column: value / scale for column, value in row.items()}
            self.rows.append(({**row, self.excess: -1.0}, -math.inf, room / scale))
            return
        if name != LATENCY:
            self.forbidden += [column for column, value in row.items() if value > room]
            row = {column: value for column, value in row.items() if value <= room}
        scale = room / SCALE if room > 0 else 1.0
        self.rows.append(({column: value / scale for column, value in row.items()}, -math.inf, room / scale))

    def _figure(self, name: str) -> tuple[Row, float]:
        """A figure as a sum over variables, and its constant part."""
        if name == LATENCY:
            return {self.total: 1.0}, 0.0
        row = {number: option.figures[name] for number, option in enumerate(self.options)}
        return row, self.problem.fixed.get(name, 0.0)

    def _times(self) -> None:
        """Add rows of time: a call ends its own time after what it waits for, and all ends after each call."""
        for call in self.problem.calls:
            own: Row = {}
            constant = call.share if call.layer is None else 0.0
            if call.layer is not None:
                for option in self.problem.options[call.layer]:
                    own[self.place[option.layer, option.target]] = -call.share * option.figures[LATENCY]
            row = {self.ends[call.node]: 1.0, **own}
            self.rows.append((row, constant, math.inf))
            for earlier in self.problem.order.before[call.node]:
                self.rows.append(({**row, self.ends[earlier]: -1.0}, constant, math.inf))
            self.rows.append(({self.total: 1.0, self.ends[call.node]: -1.0}, 0.0, math.inf))


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Silence standard output: HiGHS writes notes to it past Python, which would stand in the middle of JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _polished(problem: Problem, choice: dict[str, str], minimise: str, budgets: Mapping[str, float]) -> dict[str, str]:
    """Choice with single layers moved where that helps: the solver does not see what is 1e-7 of the largest."""
    best = problem.figures(choice)[minimise]
    for layer, options in problem.options.items():
        for option in options:
            other = {**choice, layer: option.target}
            figures = problem.figures(other)
            if figures[minimise] < best and keeps(figures, budgets):
                choice, best = other, figures[minimise]
    return choice
