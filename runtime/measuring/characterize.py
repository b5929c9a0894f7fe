"""Characterization of targets: the error of a tile's products over time, and the errors of its weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from tilewright.runtime.chip.analog_linear import AnalogLinear, LayerTensors, TileLayout
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.samples import reading
from tilewright.runtime.chip.simulated_chip import SimulatedChip
from tilewright.runtime.chip.uses import SAMPLES_FIRST, Use
from tilewright.runtime.execution.callbacks import OnProgress
from tilewright.runtime.measuring.spread import standard_error
from tilewright.runtime.measuring.workers import Workers, do_all
from tilewright.runtime.plan.blocks import split_columns, split_rows
from tilewright.runtime.units.linear import DigitalUnitLinear
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_seed, check_whole
from tilewright.targets.loading import load_programming, load_target
from tilewright.targets.spec import AnalogTarget, DigitalTarget, Programming, Target
from tilewright.targets.times import parse_time

DEFAULT_TIMES = ("1s", "1h", "1d", "1w", "1mo", "1y")
SPREAD = 0.246
"""Standard deviation of the weights of the standard problem; they are clipped to ±1."""
BINS = 80
"""Bins of the histograms of weight errors."""
WIDEST = 0.2
"""Largest weight error that a histogram shows apart; larger ones are counted in its last bins."""
LARGEST_SIZE = 8192
Problem = tuple[Tensor, Tensor, Tensor]
"""Weights, inputs and exact products."""


@dataclass(frozen=True)
class CharacterizedTime:
    """One time of one curve.

    mvm_error: error of the products ‖y - ŷ‖ / ‖y‖ of each chip. weight_error_mean, weight_error_deviation: over all
    weights of all chips, in parts of the column's scale.

    time, seconds: since programming, as it was asked for and as a number.
    """

    time: str
    seconds: float
    mvm_error: list[float]
    weight_error_mean: float
    weight_error_deviation: float
    histogram: list[int]
    """Weights a bin of ``Curve.histogram_edges``, over all chips."""

    @property
    def mean(self) -> float:
        """Mean error of the products over chips."""
        return mean(self.mvm_error)

    @property
    def standard_error(self) -> float | None:
        """Standard error of ``mean``; None from one chip."""
        return standard_error(self.mvm_error)


@dataclass(frozen=True)
class Curve:
    """One target programmed by one method. Weight errors are in parts of the column's scale, after compensation.

    target, programming: names; no method on digital units. devices_per_weight: zero on digital units.
    drift_compensation: its kind; None on digital units. points: one a time. histogram_edges: bounds of the bins of
    weight errors.
    """

    target: str
    programming: str | None
    devices_per_weight: int
    drift_compensation: str | None
    points: list[CharacterizedTime]
    histogram_edges: list[float]

    @property
    def label(self) -> str:
        """Name in plots: target and programming method."""
        return self.target if self.programming is None else f"{self.target}, {self.programming}"


@dataclass(frozen=True)
class Characterization:
    """Errors of matrix-vector products over time, as ``characterize`` measures them: a curve a target and method.

    problem: the law of weights and inputs, in words. rows, columns: of the matrix. vectors: inputs. repeats, seed:
    chips.

    curves: in the order of the targets and methods asked for.
    """

    problem: str
    rows: int
    columns: int
    vectors: int
    repeats: int
    seed: int
    curves: list[Curve]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``, with means and standard errors."""
        content = asdict(self)
        for curve, written in zip(self.curves, content["curves"], strict=True):
            for point, line in zip(curve.points, written["points"], strict=True):
                line |= {"mean": point.mean, "standard_error": point.standard_error}
        return content

    def __repr__(self) -> str:
        """A line for a terminal."""
        shown = [f"{curve.label} {curve.points[0].mean:.2%} at {curve.points[0].time}" for curve in self.curves[:3]]
        more = f" and {len(self.curves) - 3} more" if len(self.curves) > 3 else ""
        return f"Characterization({self.rows} x {self.columns}, {self.repeats} chip(s): {', '.join(shown)}{more})"


def characterize(
    targets: str | Path | Target | Sequence[str | Path | Target],
    programming: Sequence[str | Path | Programming] | None = None,
    *,
    times: Sequence[str | float] = DEFAULT_TIMES,
    rows: int = 512,
    columns: int = 512,
    vectors: int = 512,
    repeats: int = 3,
    seed: int = 0,
    workers: int | Workers = 1,
    executor: Executor | None = None,
    on_curve: OnProgress | None = None,
) -> Characterization:
    """Measure the error of matrix-vector products on freshly programmed chips over time.

    The standard problem: weights N(0, .246) clipped to ±1 with column scale 1 [columns, rows], inputs uniform in ±1
    [vectors, rows]. targets: one or several, by name, file or object. programming: the methods to compare on every
    analog target; each target's own if none is given. times: since programming, in seconds or as text ("1h"). repeats,
    seed: chips. A matrix larger than a tile takes several. workers, executor: as of ``evaluate``. on_curve: called
    after each curve with (done, of how many, which).

    Raises ``InputError`` for an unknown target or method, and numbers out of range.
    """
    for name, number in (("rows", rows), ("columns", columns), ("vectors", vectors)):
        check_whole(name, number, most=LARGEST_SIZE)
    check_whole("repeats", repeats, most=1000)
    check_seed(seed)
    if rows < 2:
        raise InputError("rows is 1, allowed is 2 or more: one row of the standard problem holds the column scale")
    chosen = [targets] if isinstance(targets, str | Path) or not isinstance(targets, Sequence) else list(targets)
    loaded = [load_target(target) for target in chosen]
    methods = [load_programming(method) for method in programming or ()]
    seconds = {str(time): parse_time(time) for time in times}
    if not loaded or not seconds:
        raise InputError("characterize needs at least one target and one time")
    if methods and all(target.programming is None for target in loaded):
        names = ", ".join(target.name for target in loaded)
        raise InputError(f"programming {methods[0].name!r} is asked for, but {names} has no devices to program")
    pairs = [
        (target, method)
        for target in loaded
        for method in (methods if methods and target.programming else [target.programming])
    ]
    weight, driven = standard_problem(rows, columns, vectors)
    problem = weight, driven, driven @ weight.T
    works = [
        _MatrixWork(target, method, problem, tuple(seconds.values()), seed, repeat)
        for target, method in pairs
        for repeat in range(repeats)
    ]
    memory = sum(4 * tensor.numel() for tensor in problem) * (2 + len(seconds))
    found: list[list[tuple[float, Tensor]]] = [[] for _ in works]
    curves: dict[int, Curve] = {}
    for number, one in do_all(_measured_matrix, works, workers=workers, executor=executor, memory=memory):
        found[number].append(one)
        place = number // repeats
        chips = slice(place * repeats, (place + 1) * repeats)
        if all(len(chip) == len(seconds) for chip in found[chips]):
            curves[place] = _curve(works[chips], seconds, found[chips])
            found[chips] = [[]] * repeats  # they are large
            if on_curve:
                on_curve(len(curves), len(pairs), curves[place].label)
    text = f"w ~ N(0, {SPREAD}) clipped to ±1, x ~ U(-1, 1)"
    return Characterization(text, rows, columns, vectors, repeats, seed, [curves[place] for place in range(len(pairs))])


def standard_problem(rows: int, columns: int, vectors: int) -> tuple[Tensor, Tensor]:
    """Weights [columns, rows] and inputs [vectors, rows]. Row 0 holds 1 and is never driven: the column scale is 1."""
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(columns, rows, generator=generator) * SPREAD).clamp(-1, 1)
    inputs = torch.rand(vectors, rows, generator=generator) * 2 - 1
    weight[:, 0], inputs[:, 0] = 1.0, 0.0
    return weight, inputs


@dataclass(frozen=True)
class _MatrixWork:
    """Work on one chip that holds one matrix, at its times in seconds. repeat: which chip."""

    target: AnalogTarget | DigitalTarget
    method: Programming | None
    problem: Problem
    seconds: tuple[float, ...]
    seed: int
    repeat: int

    def __str__(self) -> str:
        """Name in sentences."""
        return f"chip {self.repeat} of {self.target.name}"


@torch.inference_mode()
def _measured_matrix(work: _MatrixWork) -> Iterator[tuple[float, Tensor]]:
    """Error of the products, and those of all weights, at each time."""
    weight, inputs, exact = work.problem
    layer = _layer(work.target, work.method, weight, Draws(work.seed, work.repeat))
    for seconds in work.seconds:
        if isinstance(layer, AnalogLinear):
            layer.advance_to(seconds)
        with reading(range(len(inputs))):
            outputs, held = layer(inputs), layer.held_weights()
        yield float((outputs - exact).norm() / exact.norm()), (held - weight)[:, 1:].flatten()


def _curve(works: list[_MatrixWork], seconds: dict[str, float], found: list[list[tuple[float, Tensor]]]) -> Curve:
    """Curve of a target and method, of what was found on each of its chips."""
    edges, points = torch.linspace(-WIDEST, WIDEST, BINS + 1), []
    for place, (time, at) in enumerate(seconds.items()):
        all_wrong = torch.cat([chip[place][1] for chip in found])
        counts = torch.histogram(all_wrong.clamp(-WIDEST, WIDEST), edges).hist
        errors = [chip[place][0] for chip in found]
        points.append(
            CharacterizedTime(time, at, errors, float(all_wrong.mean()), float(all_wrong.std()), counts.long().tolist())
        )
    target, method = works[0].target, works[0].method
    name, devices = (method.name, 2 * method.pairs) if method else (None, 0)
    return Curve(target.name, name, devices, target.drift_compensation, points, edges.tolist())


def _layer(
    target: AnalogTarget | DigitalTarget, method: Programming | None, weight: Tensor, draws: Draws
) -> AnalogLinear | DigitalUnitLinear:
    """The standard problem's matrix on a target, with calibration inputs of its own, alike in law."""
    if target.tile is None:
        return DigitalUnitLinear(weight, None, target, [1.0])
    rows, columns = split_rows(weight.shape[1], target.tile), split_columns(weight.shape[0], target.tile)
    calibration = torch.rand(256, weight.shape[1], generator=torch.Generator().manual_seed(1)) * 2 - 1
    calibration[:, 0] = 0.0
    tensors, layout = LayerTensors(weight, calibration=calibration), TileLayout(rows, columns, method)
    return AnalogLinear("standard problem", SimulatedChip(target, draws), tensors, layout, [Use(1.0, SAMPLES_FIRST)])
