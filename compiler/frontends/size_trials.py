"""Trials of the sizes at which a traced graph is the model, where tracing cannot tell.

Tracing takes every size for two or more, so that a model may treat one apart without a word; and torch asks much of
sizes that is of no consequence to the graph. Both are settled by running model and graph at such sizes: a handful of
small runs. What the model's own code asked is never tried away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product

import torch
from torch import Tensor, fx

from tilewright.compiler.frontends.traced_sizes import Assumption, TracedSizes
from tilewright.compiler.network.comparison import Touching, relative_error
from tilewright.compiler.network.traced import Inputs
from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.records import DimensionRecord, InputRecord

TOLERANCE = 1e-4
"""Relative difference between graph and model that counts as rounding."""
MOST_TRIALS = 8
"""Largest number of runs that settle what torch asked, beside one for each dimension of size one."""
LARGEST_GROWTH = 4
"""Largest ratio of the elements of inputs that are tried to the example's; small ones may have ``SMALL`` elements."""
SMALL = 2**16
MOST_LETTERS = 1024
"""Length in letters that a condition counts as if it cannot be written."""
MOST_KEPT = 2**25
"""Largest number of the model's output values that are kept, to compare the graph with after passes."""
LARGE_SIZES = tuple(2**power + change for power in range(5, 21) for change in (-1, 0, 1))
"""Sizes at which conditions are looked at, though nothing is run there."""

Outputs = list[Tensor]
RunModel = Callable[[Inputs], Outputs]
Example = tuple[Inputs, Outputs]
Sizes = dict[str, int]
Limits = dict[str, DimensionRecord]


@dataclass
class SizeTrials:
    """Runs of a traced graph beside the model."""

    graph: fx.GraphModule
    records: Sequence[InputRecord]
    model: RunModel
    """Function that gives the model's outputs as the graph does; any error means that it does not take these inputs."""
    example: Inputs
    """Inputs whose values are used at all sizes."""
    agreeing: list[Example] = field(default_factory=list)
    """Inputs and the model's outputs at sizes where graph and model agreed; not all of them if they are large."""

    @torch.inference_mode()
    def agree_at(self, sizes: Sizes) -> bool:
        """True if graph and model give the same at these sizes; False where either refuses them."""
        inputs = self._inputs(sizes)
        try:
            expected = self.model(inputs)
        except Exception:  # noqa: BLE001 (a foreign model may refuse sizes in any way)
            return False
        if not self.gives(inputs, expected):
            return False
        if sum(value.numel() for _, outputs in [*self.agreeing, (inputs, expected)] for value in outputs) <= MOST_KEPT:
            self.agreeing.append((inputs, expected))
        return True

    @torch.inference_mode()
    def gives(self, inputs: Inputs, expected: Outputs) -> bool:
        """True if the graph gives these outputs, but for rounding."""
        try:
            outputs = Touching(self.graph).run(*(value.clone() for value in inputs.values()))
        except Exception:  # noqa: BLE001 (a graph that was traced at other sizes may fail in any way)
            return False
        return all(relative_error(one, other) <= TOLERANCE for one, other in zip(outputs, expected, strict=True))

    def _inputs(self, sizes: Sizes) -> Inputs:
        """The example cut, or repeated, to other sizes."""
        made = dict(self.example)
        for record in self.records:
            for axis, size in enumerate(record.shape):
                value = made[record.name]
                if isinstance(size, str) and value.shape[axis] != sizes[size]:
                    made[record.name] = value.index_select(axis, torch.arange(sizes[size]) % value.shape[axis])
        return made

    def are_small(self, sizes: Sizes) -> bool:
        """True if inputs of these sizes are quickly run."""
        made = sum(
            math.prod(sizes[size] if isinstance(size, str) else size for size in record.shape)
            for record in self.records
        )
        return made <= max(SMALL, LARGEST_GROWTH * sum(value.numel() for value in self.example.values()))


@dataclass
class SettledSizes:
    """Sizes at which a graph is the model, as far as is known."""

    limits: Limits
    kept: list[Assumption]

    def take(self, sizes: Sizes, *, by_model: bool | None = None) -> bool:
        """True if these sizes are allowed. by_model: look only at what the model asked, or at what torch asked."""
        asked = (one for one in self.kept if by_model is None or one.by_model is by_model)
        return AllowedSizes(self.limits, []).take(sizes) and all(one.holds(sizes) for one in asked)


def settle(traced: TracedSizes, trials: SizeTrials, known: Sequence[tuple[Sizes, bool]] = ()) -> SettledSizes:
    """Settle sizes by trials. known: sizes where graph and model were run already, and whether they agreed."""
    found = SettledSizes(dict(traced.limits), list(traced.assumptions))
    _try_smaller(found, trials, traced, known)
    _try_what_torch_asked(found, trials, traced.traced, known)
    return found


def untried(traced: TracedSizes) -> SettledSizes:
    """Settled sizes where nothing can be run: all assumptions are kept, and sizes of one taken for any other."""
    ones = {name: one.model_copy(update={"minimum": 1}) for name, one in traced.limits.items() if one.minimum == 2}
    return SettledSizes(traced.limits | ones, list(traced.assumptions))


def _try_smaller(
    found: SettledSizes, trials: SizeTrials, traced: TracedSizes, known: Sequence[tuple[Sizes, bool]]
) -> None:
    """Find the least size of each dimension by trials, one after the other; then all that may be one together."""
    base = traced.traced
    agreed = [sizes for sizes, agreed in known if agreed]
    for name, limits in list(found.limits.items()):

        def agrees(size: int, name: str = name, limits: DimensionRecord = limits) -> bool:
            least = min(size, limits.minimum)
            found.limits[name] = limits.model_copy(update={"minimum": least})
            is_known = any(one[name] == size for one in agreed)
            sizes = {**base, name: size}
            return found.take(sizes, by_model=True) and (is_known or trials.agree_at(sizes))

        least = _least_above(limits.minimum, _true_from(found, base, name), agrees)
        if least == limits.minimum:
            least = next(
                (size + 1 for size in range(least - 1, max(0, least - 1 - MOST_TRIALS), -1) if not agrees(size)),
                max(1, least - MOST_TRIALS),
            )
        found.limits[name] = limits.model_copy(update={"minimum": least})
    ones = [name for name, limits in found.limits.items() if limits.minimum == 1]
    sizes = {**base, **dict.fromkeys(ones, 1)}
    if len(ones) > 1 and found.take(sizes, by_model=True) and not trials.agree_at(sizes):
        found.kept.append(traced.not_all_one(ones))


def _true_from(found: SettledSizes, base: Sizes, name: str) -> int:
    """Size of a dimension from which on all holds that torch asked and that only small sizes break."""
    start, values = found.limits[name].minimum, sorted(_values(found.limits[name].minimum, base[name]))
    for one in (one for one in found.kept if not one.by_model):
        broken = [place for place, size in enumerate(values) if not one.holds({**base, name: size})]
        if broken and values[broken[-1]] < base[name]:
            start = max(start, values[broken[-1] + 1])
    return start


def _least_above(refused: int, taken: int, agrees: Callable[[int], bool]) -> int:
    """The least size that agrees, by halving: the first if it does, else one up to the second, which is not tried."""
    if refused == taken or agrees(refused):
        return refused
    while taken - refused > 1:
        middle = (refused + taken) // 2
        if agrees(middle):
            taken = middle
        else:
            refused = middle
    return taken


def _try_what_torch_asked(
    found: SettledSizes, trials: SizeTrials, base: Sizes, known: Sequence[tuple[Sizes, bool]]
) -> None:
    """Leave out what torch asked of sizes, where graph and model agree at sizes of which it is not true."""
    by_torch = [one for one in found.kept if not one.by_model]
    tries: list[tuple[Sizes, set[Assumption]]] = []
    for sizes in _candidates(found.limits, base) if by_torch else ():
        broken = {one for one in by_torch if not one.holds(sizes)}
        if broken and found.take(sizes, by_model=True):
            tries.append((sizes, broken))
    results = [
        ({one for one in by_torch if not one.holds(sizes)}, agreed)
        for sizes, agreed in known
        if found.take(sizes, by_model=True)
    ]
    results += [(broken, trials.agree_at(sizes)) for sizes, broken in _telling_tries(by_torch, tries, trials)]
    harmless = {one for broken, agreed in results if agreed for one in broken}
    needed = {one for _, broken in tries for one in broken} - harmless
    for broken, agreed in results:
        if not agreed:
            needed |= (broken - harmless) or broken
    in_order = [one for one in by_torch if one in needed]
    found.kept = [one for one in found.kept if one.by_model] + _shortest(in_order, [broken for _, broken in tries])


def _telling_tries(
    open_: list[Assumption], tries: list[tuple[Sizes, set[Assumption]]], trials: SizeTrials
) -> list[tuple[Sizes, set[Assumption]]]:
    """Tries that tell most: where almost nothing is true, and for each assumption where little else is false."""
    runnable = [one for one in tries if trials.are_small(one[0])]
    chosen = sorted(runnable, key=lambda one: -len(one[1]))[:1]
    for asked in open_:
        breaking = [one for one in runnable if asked in one[1]]
        closest = min(breaking, key=lambda one: len(one[1]), default=None)
        if closest is not None and closest not in chosen and len(chosen) < MOST_TRIALS:
            chosen.append(closest)
    return chosen


def _shortest(needed: list[Assumption], tries: list[set[Assumption]]) -> list[Assumption]:
    """Shortest assumptions of torch that are broken wherever any of them is: torch asks one thing many times."""
    kept: set[Assumption] = set()
    for one in sorted(needed, key=lambda one: len(one.condition.text) if one.condition is not None else MOST_LETTERS):
        if any(one in broken and kept.isdisjoint(broken) for broken in tries):
            kept.add(one)
    return [one for one in needed if one in kept]


def _values(least: int, size: int) -> set[int]:
    """Sizes of one dimension to look at, from the least: small ones, those near the example's, and large ones."""
    near = {*range(least, least + 24), *range(size - 8, size + 9), 2 * size - 1, 2 * size, size // 2, *LARGE_SIZES}
    return {value for value in near if value >= least}


def _candidates(limits: Limits, base: Sizes) -> Iterator[Sizes]:
    """Sizes to look at, the nearest to the example's first: one dimension changed, then two, then all alike."""
    values: dict[str, list[int]] = {}
    for name, size in base.items():
        values[name] = sorted(_values(limits[name].minimum, size), key=lambda value: abs(value - size))
    for name in base:
        yield from ({**base, name: value} for value in values[name])
    few = {name: [*values[name][:6], *range(limits[name].minimum, limits[name].minimum + 6)] for name in base}
    for one, other in combinations(base, 2):
        yield from ({**base, one: first, other: second} for first, second in product(few[one], few[other]))
    yield from (dict.fromkeys(base, size) for size in LARGE_SIZES)
