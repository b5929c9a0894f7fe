"""Which target each layer runs on."""

from __future__ import annotations

from tilewright.compiler.compilation import Compilation
from tilewright.runtime.plan import Decision, Figure


def assign_targets(compilation: Compilation) -> None:
    """Put every layer on the target of the compilation: with one target there is nothing to weigh."""
    target = compilation.target
    for layer in compilation.layers.values():
        layer.target = target.name
        layer.reason = (
            f"its weights are constant, so they can stay in crossbars; {target.name} is the only target offered"
        )
        compilation.decisions.append(
            Decision(
                made_by="assign_targets",
                subject=layer.name,
                choice=target.name,
                reason="the only target offered",
                figures=[Figure(name="targets offered", value=1, unit="target")],
            )
        )
