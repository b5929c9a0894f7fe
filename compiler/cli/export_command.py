"""tilewright export"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import errors, output, print_json
from tilewright.compiler.engineering import counted


def export_command(
    plan: options.PlanFolder,
    folder: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace such a folder that is there already.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Write a plan's layers on tiles for AIHWKit-Lightning and AIHWKit, with a script that rebuilds them there."""
    from tilewright.compiler.exporting.aihwkit import export_layers
    from tilewright.runtime.plan.plan import load

    found = export_layers(load(plan), folder, overwrite=force)
    if as_json:
        print_json(found.to_json())
        return
    output.print(f"{counted(len(found.layers), 'layer')} written to {folder}; rebuild.py makes them", soft_wrap=True)
    for note in found.notes:
        errors.print(f"note: {note}", soft_wrap=True)
