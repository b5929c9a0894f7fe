"""What a reader of a plan should know before trusting it."""

from __future__ import annotations

from collections.abc import Collection

from tilewright.runtime.plan.allowed_sizes import AllowedSizes
from tilewright.runtime.plan.decisions import without_use
from tilewright.runtime.plan.plan import Plan

SATURATING = 1.2
"""The largest input in parts of the range, from which a reader is told that inputs saturate."""
SHOWN = 3
"""Names that a warning gives."""
POOR = 0.25
"""A simulated error of a layer's outputs, from converters alone, that is worth a warning."""


def range_errors(plan: Plan) -> dict[str, float]:
    """Layers -> what converters alone do to their outputs at the best range there is, of the worst use."""
    found: dict[str, float] = {}
    for decision in plan.document.decisions:
        layer = without_use(decision.subject)
        if decision.made_by == "calibrate":
            errors = [figure.value for figure in decision.figures if figure.name == "simulated error"]
            if errors:
                found[layer] = max(errors[0], found.get(layer, 0.0))
    return found


def _range_warning(layer: str, error: float) -> str:
    return (
        f"no input range suits all inputs of {layer}: converters alone disturb its outputs by {error:.0%}; a range for "
        "each vector (as on pcm-512-dynamic) or a digital unit would help"
    )


def _cuts(plan: Plan) -> list[str]:
    """Inputs and weights that saturate, because cutting them was found to be better or was asked for."""
    layers = {layer.name for layer in plan.document.layers}
    cut: dict[str, float] = {}
    for decision in plan.document.decisions:
        name = without_use(decision.subject)
        if decision.made_by == "calibrate" and name in layers:
            largest = [option.figures[0].value for option in decision.rejected if option.choice == "abs-max"]
            chosen = [figure.value for figure in decision.figures if figure.name == "range"]
            if largest and chosen and largest[0] > SATURATING * chosen[0]:
                cut[name] = max(cut.get(name, 0.0), largest[0] / chosen[0])
    warnings = []
    if cut:
        worst = max(cut, key=lambda name: cut[name])
        warnings.append(
            f"the largest inputs saturate in {_layers(cut)}: their ranges are cut where that lowers the error, most in "
            f"{worst}, to 1/{cut[worst]:.3g} of the largest input"
        )
    clipped = [layer.name for layer in plan.document.layers if layer.clip_deviations is not None]
    if clipped:
        why = "as the target asks or where it lowers the error"
        warnings.append(f"the largest weights are cut in {_layers(clipped)}, {why}")
    return warnings


def _matrices_left(plan: Plan) -> list[str]:
    """Matrices that no layer holds, though they multiply activations."""
    left = [
        weight
        for weight in plan.document.weights_of_model
        if weight.place == "digital" and not weight.layers and len(weight.shape) > 1
        and not weight.reason.startswith(("added to", "scale or offset", "stored again", "no output"))
    ]  # fmt: skip
    if not left:
        return []
    reasons = "; ".join(dict.fromkeys(weight.reason for weight in left))
    more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    shown = ", ".join(weight.name for weight in left[:SHOWN]) + more
    return [f"{len(left)} matrices are on no target ({shown}): {reasons}"]


def _layers(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:SHOWN])
    return f"{len(names)} layer{'s' if len(names) != 1 else ''} ({shown}{', ...' if len(names) > SHOWN else ''})"


def warnings_of(plan: Plan) -> list[str]:
    """All of them, in sentences."""
    document = plan.document
    warnings = []
    if document.calibration.automatic:
        warnings.append(f"calibrated on an automatic set ({document.calibration.source}); your own data may differ")
    if not plan.has_weights:
        warnings.append(
            "made from the model's config alone: no weights were read and no range was calibrated, so it cannot be run"
        )
    on_tiles = {layer.name for layer in document.layers if layer.tiles}
    warnings += [
        _range_warning(layer, error)
        for layer, error in range_errors(plan).items()
        if layer in on_tiles and error > POOR
    ]
    warnings += _cuts(plan) + _matrices_left(plan)
    if document.unused_tensors:
        names = [tensor.name for tensor in document.unused_tensors]
        shown = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        warnings.append(
            f"the model's files hold {len(names)} tensors that no part of the network is made of ({shown}); "
            "report --weights lists them"
        )
    if document.placement.chips > 1:
        warnings.append(f"the model needs {document.placement.chips} chips; traffic between chips is not modelled")
    if not document.weights_of_model and document.model.parameters:
        warnings.append(
            "the plan is of an older version, which did not say where each parameter went; compile it again"
        )
    if document.size_conditions is None and AllowedSizes.of(document).limits:
        warnings.append(
            "the plan is of an older version, which did not say at which sizes its graph may not be the network; "
            "compile it again"
        )
    if not document.layers:
        warnings.append("no layer was found: nothing runs on tiles")
    return warnings
