"""What a reader of a plan should know before trusting it."""

from __future__ import annotations

from tilewright.runtime.plan import Plan

POOR = 0.25
"""A simulated error of a layer's outputs, from converters alone, that is worth a warning."""


def range_errors(plan: Plan) -> dict[str, float]:
    """Layers -> what converters alone do to their outputs at the best range there is, of the worst use."""
    found: dict[str, float] = {}
    for decision in plan.document.decisions:
        layer = decision.subject.split(" use ")[0]
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


def warnings_of(plan: Plan) -> list[str]:
    """All of them, in sentences."""
    document = plan.document
    warnings = []
    if document.calibration.automatic:
        warnings.append(f"calibrated on an automatic set ({document.calibration.source}); your own data may differ")
    on_tiles = {layer.name for layer in document.layers if layer.blocks}
    warnings += [
        _range_warning(layer, error)
        for layer, error in range_errors(plan).items()
        if layer in on_tiles and error > POOR
    ]
    if document.placement.chips > 1:
        warnings.append(f"the model needs {document.placement.chips} chips; traffic between chips is not modelled")
    if not document.weights_of_model and document.model.parameters:
        warnings.append(
            "the plan is of an older version, which did not say where each parameter went; compile it again"
        )
    if not document.layers:
        warnings.append("no layer was found: nothing runs on tiles")
    return warnings
