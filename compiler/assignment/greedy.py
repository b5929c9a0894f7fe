"""Greedy assignments, to compare the exact one with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from tilewright.compiler.assignment.exact import keeps
from tilewright.compiler.assignment.problem import ENERGY, LOSS, TILES, Option, Problem

Greedy = Callable[[Problem, str, Mapping[str, float]], dict[str, str] | None]


def by_macs(problem: Problem, minimise: str, budgets: Mapping[str, float]) -> dict[str, str] | None:
    """Choice that puts layers with most MACs on the cheapest target first, as LionHeart does (Lammie 2024).

    Where the loss has a budget, as long as it is kept; else until all other budgets are.
    """
    order = sorted(problem.options, key=lambda layer: -problem.macs[layer])
    choice = {layer: _most_precise(options).target for layer, options in problem.options.items()}
    for layer in order:
        moved = {**choice, layer: _cheapest(problem.options[layer], minimise).target}
        if LOSS in budgets:
            if keeps(problem.figures(moved), {LOSS: budgets[LOSS]}):
                choice = moved
        elif not keeps(problem.figures(choice), budgets):
            choice = moved
    return choice if keeps(problem.figures(choice), budgets) else None


def by_rank(problem: Problem, minimise: str, budgets: Mapping[str, float]) -> dict[str, str] | None:
    """Choice that moves the most sensitive layers first from the cheapest to the most precise target (FTJ thesis).

    Where the loss has a budget, until it is kept; else each as far as the other budgets allow.
    """
    choice, order = _ranked(problem, minimise)
    for layer, target in order:
        moved = {**choice, layer: target}
        if LOSS in budgets:
            if not keeps(problem.figures(choice), {LOSS: budgets[LOSS]}):
                choice = moved
        elif keeps(problem.figures(moved), budgets):
            choice = moved
    return choice if keeps(problem.figures(choice), budgets) else None


def moved_in_order(problem: Problem, minimise: str) -> Iterator[dict[str, str]]:
    """Choices with no layer moved, with the most sensitive one, with the two most sensitive ones, and so on."""
    choice, order = _ranked(problem, minimise)
    yield choice
    for layer, target in order:
        choice = {**choice, layer: target}
        yield choice


def _ranked(problem: Problem, minimise: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Choice of the cheapest targets, and the moves to the most precise ones, the most sensitive layer first."""
    choice = {layer: _cheapest(options, minimise).target for layer, options in problem.options.items()}
    order = sorted(choice, key=lambda layer: -problem.option(layer, choice[layer]).figures[LOSS])
    return choice, [(layer, _most_precise(problem.options[layer]).target) for layer in order]


GREEDY: dict[str, Greedy] = {"macs": by_macs, "rank": by_rank}


def _most_precise(options: list[Option]) -> Option:
    return min(options, key=lambda option: option.figures[LOSS])


def _cheapest(options: list[Option], minimise: str) -> Option:
    """Cheapest option by what is minimised; for the loss by energy, or by most tiles where no energy is known."""
    if minimise != LOSS:
        return min(options, key=lambda option: option.figures[minimise])
    return min(options, key=lambda option: (np.nan_to_num(option.figures[ENERGY]), -option.figures[TILES]))
