"""Comparison of a plan with its network: both run on the same inputs, the original by the tools it came from."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, fx

from tilewright.compiler.network.comparison import LARGEST_ROUNDING, relative_error
from tilewright.compiler.network.double_precision import in_double
from tilewright.compiler.network.traced import Inputs, Original, Traced
from tilewright.compiler.pipeline import PassError
from tilewright.runtime.execution.inputs import prepare_inputs
from tilewright.runtime.execution.session import Session
from tilewright.runtime.plan.decisions import Check
from tilewright.runtime.plan.plan import Plan

CALIBRATION_SAMPLES = 4
"""Samples of the calibration set on which plan and original are compared, beside the examples."""
AS_MUCH_AGAIN = 3.0
"""Multiple of the plan's own rounding by which the original, which sums differently, may be off the plan in float64."""

aten = torch.ops.aten
SHARES = {aten.sigmoid.default, aten._softmax.default, aten.softmax.int}
KEEPS = {
    aten.view.default, aten.reshape.default, aten.transpose.int, aten.permute.default, aten.squeeze.dim,
    aten.squeeze.dims, aten.unsqueeze.default, aten.slice.Tensor, aten.select.int, aten.mean.dim,
}  # fmt: skip


def checked_against(plan: Plan, traced: Traced, original: Original) -> Plan:
    """Compare a plan with its original. Returns the plan with the result in it.

    Raises ``PassError`` if plan and original differ by more than is allowed.
    """
    session = Session(plan, ideal=True)
    compared: list[Inputs] = [*traced.examples, *traced.calibration_inputs[:CALIBRATION_SAMPLES]]
    worst = 0.0
    for inputs in compared:
        outputs = session(inputs)
        for (name, output), expected in zip(outputs.items(), original.run(inputs), strict=True):
            error = relative_error(output, expected)
            if not (error <= original.tolerance or _only_rounds(session, inputs, name, expected, original.tolerance)):
                shapes = {key: list(value.shape) for key, value in inputs.items()}
                raise PassError(
                    f"output {name!r} of the plan on the ideal target differs from {original.runs_on} by {error:.1e} "
                    f"relative for inputs of shape {shapes}; allowed is {original.tolerance:.0e}"
                )
            worst = max(worst, error)
    found = Check(
        against=original.runs_on,
        sizes=[{name: list(value.shape) for name, value in inputs.items()} for inputs in compared],
        largest_relative_error=worst,
        tolerance=original.tolerance,
    )
    return replace(plan, document=plan.document.model_copy(update={"check": found}))


def _only_rounds(session: Session, inputs: Inputs, name: str, expected: Tensor, tolerance: float) -> bool:
    """True if rounding explains a difference: the original is as near to the plan in float64 as the plan itself is.

    The original cannot be run in float64, so its rounding is taken to be like the plan's own. onnxruntime's sigmoids
    and softmaxes are right to a rounding of one, however small they are.
    """
    place = [record.name for record in session.plan.document.outputs].index(name)
    prepared = prepare_inputs(session.plan.document, inputs)
    exact = in_double(session.module, prepared.values())[place]
    rounding = relative_error(session(inputs)[name], exact)
    (results,) = next(iter(session.module.graph.find_nodes(op="output"))).args
    if _is_share(results[place]) and expected.numel() and expected.shape == exact.shape:
        difference = float((expected.double() - exact).abs().max())
        if difference <= torch.finfo(torch.float32).eps:
            return True
    return relative_error(expected, exact) <= max(tolerance, AS_MUCH_AGAIN * min(rounding, LARGEST_ROUNDING))


def _is_share(node: fx.Node) -> bool:
    """True if a result is of a sigmoid or softmax, moved or averaged since: from 0 to 1."""
    while node.target not in SHARES:
        if node.target not in KEEPS or not isinstance(node.args[0], fx.Node):
            return False
        node = node.args[0]
    return True
