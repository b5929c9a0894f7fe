"""tilewright adapter"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import output, print_json
from tilewright.compiler.engineering import counted
from tilewright.compiler.report.plain_console import PlainTable

if TYPE_CHECKING:
    from tilewright.runtime.plan.plan import Plan

adapter_app = typer.Typer(no_args_is_help=True, help="Add, list and remove a plan's adapters; the base is not touched.")
New = Annotated[
    Path | None, typer.Option("-o", "--output", help="The folder to write the plan to, in place of changing its own.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace a plan that is at -o already.")]


@adapter_app.command("add")
def add_command(
    plan: options.PlanFolder,
    folder: Annotated[Path, typer.Argument(metavar="adapter", help="A folder that peft saved a LoRA adapter to.")],
    name: Annotated[str | None, typer.Option(help="The name that chooses it; the folder's own.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of an adapter of that name.")] = False,
    new: New = None,
    force: Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Add an adapter to a plan, beside or in place of its layers. Its weights on tiles stay as they are."""
    from tilewright.compiler.cli.settings import name_of_folder

    chosen = name_of_folder(folder) if name is None else name
    changed = _open(plan, new, force=force).with_adapter(chosen, folder, replace=replace)
    changed.save(new or plan, overwrite=force or new is None)
    _print(changed, [chosen], f"added to {new or plan}", as_json=as_json)


@adapter_app.command("list")
def list_command(plan: options.PlanFolder, as_json: options.AsJson = False) -> None:
    """List a plan's adapters."""
    from tilewright.runtime.plan.plan import load

    loaded = load(plan)
    _print(loaded, loaded.adapters, f"in {plan}", as_json=as_json)


@adapter_app.command("remove")
def remove_command(
    plan: options.PlanFolder,
    name: Annotated[str, typer.Argument(help="The adapter's name.", autocompletion=completion.adapters)],
    new: New = None,
    force: Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Remove an adapter from a plan. What was measured with it is kept, and counts again if it comes back."""
    changed = _open(plan, new, force=force).without_adapter(name)
    changed.save(new or plan, overwrite=force or new is None)
    _print(changed, changed.adapters, f"left in {new or plan}", as_json=as_json)


def _open(folder: Path, new: Path | None, *, force: bool) -> Plan:
    """Load the plan of a folder, once it is sure that the changed one can be written."""
    from tilewright.runtime.plan.files import PLAN
    from tilewright.runtime.plan.plan import load
    from tilewright.runtime.storage.atomic_folder import check_destination

    if new is not None:
        check_destination(new, PLAN, overwrite=force)
    return load(folder)


def _print(plan: Plan, names: list[str], what: str, *, as_json: bool) -> None:
    from tilewright.compiler.report.column import Format, shown_in
    from tilewright.compiler.report.column import as_json as plain_values
    from tilewright.compiler.report.tables import ADAPTERS

    records = [record for record in plan.document.adapters if record.name in names]
    if as_json:
        print_json(plain_values(ADAPTERS, records))
        return
    output.print(f"{counted(len(records), 'adapter')} {what}", soft_wrap=True)
    if records:
        first, *others = shown_in(ADAPTERS, Format.TERMINAL)
        table = PlainTable([first.title], [column.title for column in others])
        for record in records:
            table.add_row(*(column.cell(record).text for column in (first, *others)))
        output.print(table)
