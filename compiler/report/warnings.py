"""Warnings: facts that a reader of a plan should know before trusting it."""

from __future__ import annotations

from collections.abc import Collection

from tilewright.compiler.engineering import counted
from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerOption

SATURATING = 1.2
"""The largest input in parts of the range, from which a reader is told that inputs saturate."""
SHOWN = 3
"""Largest number of names that a warning gives."""
POOR = 0.25
"""A simulated error of a layer's outputs, from converters alone, that is worth a warning."""


NOT_MULTIPLIED = ("addend", "normalisation", "unused")
"""Roles of digital parameters that multiply no activation."""


def range_error(option: LayerOption) -> float | None:
    """Error that converters alone make in a layer's outputs at the best ranges there are, of the worst use."""
    return max((use.simulated_error for use in option.uses if use.simulated_error is not None), default=None)


def _cuts(plan: Plan) -> list[str]:
    """Warnings of inputs and weights that saturate, because cutting them was found to be better or was asked for."""
    cut: dict[str, float] = {}
    for layer in plan.document.layers:
        for use in layer.option.uses:
            if use.input_range and use.largest_input and use.largest_input > SATURATING * use.input_range:
                cut[layer.name] = max(cut.get(layer.name, 0.0), use.largest_input / use.input_range)
    warnings = []
    if cut:
        worst = max(cut, key=lambda name: cut[name])
        warnings.append(
            f"the largest inputs saturate in {_layers(cut)}: their ranges are cut where that lowers the error, or the "
            f"target or the checkpoint asks for it, most in {worst}, to 1/{cut[worst]:.3g} of the largest input"
        )
    clipped = [layer.name for layer in plan.document.layers if layer.option.clip_deviations is not None]
    if clipped:
        why = "as the target asks or where it lowers the error"
        warnings.append(f"the largest weights are cut in {_layers(clipped)}, {why}")
    return warnings


def _matrices_left(plan: Plan) -> list[str]:
    """Warning of matrices that no layer holds, though they multiply activations."""
    left = [
        weight
        for weight in plan.document.weights_of_model
        if weight.place == "digital" and not weight.layers and len(weight.shape) > 1
        and weight.copy_of is None and weight.role not in NOT_MULTIPLIED
    ]  # fmt: skip
    if not left:
        return []
    reasons = "; ".join(dict.fromkeys(weight.reason for weight in left))
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    shown = ", ".join(weight.name for weight in left[:SHOWN]) + more
    what = counted(len(left), "matrix is", "matrices are")
    return [f"{what} on no target ({shown}): {reasons}"]


def _of_older_versions(plan: Plan) -> list[str]:
    """Warnings of what older versions did not say, or drew otherwise."""
    document, warnings = plan.document, list[str]()
    if not document.weights_of_model and document.model.parameters:
        warnings.append(
            "the plan is of an older version, which did not say where each parameter went; compile it again"
        )
    if document.size_conditions is None and AllowedSizes.of(document).limits:
        warnings.append(
            "the plan is of an older version, which did not say at which sizes its graph may not be the network; "
            "compile it again"
        )
    return warnings + plan.notes_on_seeds


def _layers(names: Collection[str]) -> str:
    return f"{counted(len(names), 'layer')} ({_first(names)})"


def _first(names: Collection[str]) -> str:
    return ", ".join(list(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def warnings_of(plan: Plan) -> list[str]:
    """Warnings about a plan, in sentences."""
    document = plan.document
    warnings = []
    if document.calibration.automatic:
        warnings.append(f"calibrated on an automatic set ({document.calibration.source}); your own data may differ")
    if not plan.has_weights:
        warnings.append(
            "made from the model's config alone: no weights were read and no range was calibrated, so it cannot be run"
        )
    for layer in document.layers:
        error = range_error(layer.option) if layer.tiles else None
        if error is not None and error > POOR:
            warnings.append(
                f"no input range suits all inputs of {layer.name}: converters alone disturb its outputs by {error:.0%}"
                "; a range for each vector (as on pcm-512-dynamic) or a digital unit would help"
            )
    warnings += _cuts(plan) + _matrices_left(plan)
    if document.unused_tensors:
        names = [tensor.name for tensor in document.unused_tensors]
        warnings.append(
            f"the model's files hold {counted(len(names), 'tensor')} that no part of the network is made of "
            f"({_first(names)}); report --weights lists them"
        )
    if document.placement.chips > 1:
        warnings.append(f"the model needs {document.placement.chips} chips; traffic between chips is not modelled")
    warnings += _of_older_versions(plan)
    if not document.layers:
        warnings.append("no layer was found: nothing runs on tiles")
    return warnings
