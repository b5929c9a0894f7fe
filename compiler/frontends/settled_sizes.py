"""Sizes that a traced network may be run at, found by trials; samples of other sizes are left out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from tilewright.compiler.frontends.exported import ExportedGraph
from tilewright.compiler.frontends.size_trials import Example, RunModel, SizeTrials, settle, untried
from tilewright.compiler.frontends.without_weights import speak_of_cpu
from tilewright.compiler.network.traced import Inputs, Traced
from tilewright.runtime.execution.inputs import sample_axes, sizes_of
from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.records import Calibration
from tilewright.targets.errors import InputError

UNCALIBRATED = Calibration(source="none: ranges need the model's weights", samples=0, automatic=False)


def settled(
    exported: ExportedGraph,
    run: RunModel | None = None,
    examples: Sequence[Example] = (),
    samples: Sequence[Inputs] = (),
    calibration: Calibration = UNCALIBRATED,
    *,
    notes: list[str],
    most: Mapping[str, int] | None = None,
    **known: Any,
) -> Traced:
    """The traced network with its sizes settled, and with those examples and calibration samples that fit them.

    run: gives the model's own outputs for inputs, as it did for ``examples``; None without weights, where nothing
    can be run, and all that tracing asked of sizes is kept. most: largest sizes that the model itself takes, by name.
    known: other fields of ``Traced``. Raises ``InputError`` where no given calibration sample fits.
    """
    agreed: list[Example] = []
    if run is None:
        speak_of_cpu(exported.graph.graph)
        found = untried(exported.sizes)
    else:
        trials = SizeTrials(exported.graph, exported.inputs, run, examples[0][0], agreed)
        found = settle(exported.sizes, trials, _tried(exported, trials, examples))
    for name, largest in (most or {}).items():
        if name in found.limits:
            maximum = min(largest, found.limits[name].maximum or largest)
            found.limits[name] = found.limits[name].model_copy(update={"maximum": maximum})
    conditions = exported.sizes.conditions(found.kept, found.limits)
    allowed = AllowedSizes.read(found.limits, conditions)
    fitting, agreeing = (
        [one for one in some if allowed.take(sizes_of(exported.inputs, one[0]))] for some in (examples, agreed)
    )
    kept, reason = _fitting(samples, exported, allowed) if fitting else (list(samples), None)
    if reason is not None:
        if not kept and not calibration.automatic:
            raise InputError(f"none of the calibration samples has sizes that the network was traced for: {reason}")
        left_out = len(samples) - len(kept)
        notes = [*notes, f"{left_out} of {len(samples)} calibration samples were left out: {reason}"]
        kept = kept or [fitting[0][0]]
        calibration = calibration.model_copy(update={"samples": len(kept)})
    return Traced(
        graph=exported.graph,
        inputs=exported.inputs,
        outputs=exported.outputs,
        dimensions=found.limits,
        size_conditions=conditions,
        asked_later=exported.sizes.asked_later,
        examples=[inputs for inputs, _ in fitting],
        expected=[outputs for _, outputs in fitting],
        trials=agreeing,
        calibration_inputs=kept,
        calibration=calibration,
        has_weights=run is not None,
        notes=notes,
        **known,
    )


def _tried(
    exported: ExportedGraph, trials: SizeTrials, examples: Sequence[Example]
) -> list[tuple[dict[str, int], bool]]:
    """Sizes of examples that tracing took for other ones, and whether graph and model agree there."""
    found = []
    for inputs, expected in examples:
        sizes = sizes_of(exported.inputs, inputs)
        if 1 in sizes.values() or not all(one.holds(sizes) for one in exported.sizes.assumptions):
            found.append((sizes, trials.gives(inputs, expected)))
    return found


def _fitting(
    samples: Sequence[Inputs], exported: ExportedGraph, allowed: AllowedSizes
) -> tuple[list[Inputs], str | None]:
    """Samples that fit, one that is too small a batch taken twice, and why the first of the others does not."""
    kept: list[Inputs] = []
    reason = None
    for sample in samples:
        axes = sample_axes(exported.inputs)
        twice = {
            name: torch.cat([value] * 2, axes[name]) if name in axes else value
            for name, value in ((record.name, sample[record.name]) for record in exported.inputs)
        }
        fitting = [one for one in (sample, twice) if allowed.take(sizes_of(exported.inputs, one))]
        kept += fitting[:1]
        if not fitting and reason is None:
            try:
                allowed.check(sizes_of(exported.inputs, sample))
            except InputError as error:
                reason = str(error)
    return kept, reason
