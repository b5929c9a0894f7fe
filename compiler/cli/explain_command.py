"""tilewright explain"""

from __future__ import annotations

from typing import Annotated

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import output, print_json


def explain_command(
    plan: options.PlanFolder,
    name: Annotated[
        str,
        typer.Argument(
            metavar="layer",
            help="A layer, a matrix of the model, or a product of activations.",
            autocompletion=completion.layers,
        ),
    ],
    as_json: options.AsJson = False,
) -> None:
    """Tell why one layer is as it is: every decision about it, with its figures and what was rejected."""
    from tilewright.compiler.report.explanation import explain
    from tilewright.runtime.plan.plan import load

    explanation = explain(load(plan), name)
    if as_json:
        print_json(explanation.to_json())
        return
    for sentence in explanation.sentences:
        output.print(sentence, soft_wrap=True)
