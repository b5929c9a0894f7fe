"""Sizes that a traced network may be run at, written into it; samples of other sizes are left out of it."""

from __future__ import annotations

import torch

from tilewright.compiler.frontends.exported import ExportedGraph
from tilewright.compiler.frontends.size_trials import RunModel, SettledSizes, SizeTrials, settle, untried
from tilewright.compiler.network.traced import Inputs, Traced
from tilewright.runtime.execution.inputs import sizes_of
from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.targets.errors import InputError


def settle_sizes(traced: Traced, exported: ExportedGraph, model: RunModel | None) -> None:
    """Fill ``dimensions`` and ``size_conditions`` of a traced network, and keep the samples that fit them.

    model: gives the model's own outputs for inputs; None where nothing can be run, and all that tracing asked is kept.
    Raises ``InputError`` where no given calibration sample fits.
    """
    if not exported.sizes.traced:
        return
    if model is None:
        _write(traced, exported, untried(exported.sizes))
        return
    trials = SizeTrials(exported.graph, exported.inputs, model, traced.examples[0])
    known = []
    for inputs, expected in zip(traced.examples, traced.expected, strict=True):
        sizes = sizes_of(exported.inputs, inputs)
        if 1 in sizes.values() or not all(one.holds(sizes) for one in exported.sizes.assumptions):
            known.append((sizes, trials.gives(inputs, expected)))
    allowed = _write(traced, exported, settle(exported.sizes, trials, known))
    pairs = list(zip(traced.examples, traced.expected, strict=True))
    fitting = [pair for pair in pairs if allowed.take(sizes_of(exported.inputs, pair[0]))]
    traced.examples, traced.expected = [one for one, _ in fitting], [one for _, one in fitting]
    traced.trials = [pair for pair in trials.agreeing if allowed.take(sizes_of(exported.inputs, pair[0]))]
    if fitting:
        _keep_fitting_samples(traced, allowed)


def _write(traced: Traced, exported: ExportedGraph, found: SettledSizes) -> AllowedSizes:
    traced.dimensions = found.limits
    traced.size_conditions = exported.sizes.conditions(found.kept, found.limits)
    traced.asked_later = exported.sizes.asked_later
    return AllowedSizes.read(found.limits, traced.size_conditions)


def _keep_fitting_samples(traced: Traced, allowed: AllowedSizes) -> None:
    """Leave out samples that do not fit, and say so in the plan; one that is too small a batch is taken twice."""
    kept: list[Inputs] = []
    refused: list[dict[str, int]] = []
    for sample in traced.calibration_inputs:
        twice = {
            record.name: torch.cat([sample[record.name]] * 2) if record.counts_samples else sample[record.name]
            for record in traced.inputs
        }
        fitting = [one for one in (sample, twice) if allowed.take(sizes_of(traced.inputs, one))]
        kept += fitting[:1]
        if not fitting:
            refused.append(sizes_of(traced.inputs, sample))
    if not refused:
        traced.calibration_inputs = kept
        return
    try:
        allowed.check(refused[0])
    except InputError as error:
        reason = str(error)
    count = f"{len(refused)} of {len(traced.calibration_inputs)} calibration samples"
    if not kept and not traced.calibration.automatic:
        raise InputError(f"none of the calibration samples has sizes that the network was traced for: {reason}")
    traced.notes.append(f"{count} were left out: {reason}")
    traced.calibration_inputs = kept or traced.examples[:1]
    traced.calibration = traced.calibration.model_copy(update={"samples": len(traced.calibration_inputs)})
