"""tilewright targets"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import errors, output, print_json
from tilewright.compiler.cli.settings import parse_changes
from tilewright.compiler.report.plain_console import PlainTable
from tilewright.runtime.storage.atomic_file import check_output_file, write_whole
from tilewright.targets.errors import InputError, nearest
from tilewright.targets.importing.rpu_config import read_rpu_config
from tilewright.targets.loading import KINDS, load_document, target_names
from tilewright.targets.quantity import is_number, leaves


def targets_command(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A name of the library or a YAML file; without, all are listed.", autocompletion=completion.names_of()
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="List only these: analog, digital, attention, programming, chip, cost or recipe.",
            autocompletion=completion.words(*KINDS),
        ),
    ] = None,
    changes: options.Changes = None,
    rpu_config: Annotated[
        Path | None,
        typer.Option(
            help="An RPUConfig of AIHWKit or AIHWKit-Lightning: a pickle, which is read and not run, or a model's "
            "folder with one. It is printed as a target that extends NAME (pcm-512)."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            help="A setting of the RPUConfig that is left out though results change, such as forward.inp_noise. May be "
            "repeated."
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", help="A YAML file to write the RPUConfig's target to.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """List targets, units, programming methods and chips, or print one with the unit and source of every number; or
    make one of an RPUConfig.
    """
    if rpu_config is not None:
        if kind is not None or changes:
            raise InputError(f"{'--kind' if kind else '--set'} does not go with --rpu-config")
        _import(rpu_config, name or "pcm-512", ignore or [], file, as_json, force=force)
        return
    if ignore or file is not None:
        raise InputError(f"{'--ignore' if ignore else '--output'} is for --rpu-config, which is not given")
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind is {kind!r}; {nearest(kind, KINDS)}")
    if name is None:
        if changes:
            raise InputError("--set changes one target; name it")
        _list_targets(as_json, (kind,) if kind else tuple(KINDS))
        return
    content = load_document(name, *((kind,) if kind else ()), changes=parse_changes(changes)).model_dump(mode="json")
    if as_json:
        print_json(content)
        return
    table = PlainTable(["key", "value", "unit", "source"], title=f"{content['name']}: {content['summary']}")
    for key, value, unit, source in target_rows(content):
        table.add_row(key, value, unit, source)
    output.print(table)


def _import(source: Path, extends: str, ignore: list[str], file: Path | None, as_json: bool, *, force: bool) -> None:
    """Print an RPUConfig as a target, or write it."""
    if file is not None:
        check_output_file(file, overwrite=force)
    found = read_rpu_config(source, extends=extends, ignore=ignore, name=file.stem if file is not None else None)
    if file is not None:
        write_whole(file, found.text.encode())
    if as_json:
        print_json({"file": None if file is None else str(file), "target": found.content, "notes": found.notes})
    elif file is None:
        print(found.text, end="")
    else:
        output.print(f"{found.target.name}, which extends {extends}, written to {file}", soft_wrap=True)
    for note in found.notes if file is not None and not as_json else []:
        errors.print(f"note: {note}", soft_wrap=True)


def _list_targets(as_json: bool, kinds: tuple[str, ...]) -> None:
    rows = [
        {"name": name, "kind": kind, "summary": load_document(name, kind).summary}
        for kind in kinds
        for name in target_names(kind)
    ]
    if as_json:
        print_json(rows)
        return
    table = PlainTable(["name", "kind", "summary"])
    for row in rows:
        table.add_row(*row.values())
    output.print(table)


def target_rows(content: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Rows (key, value, unit, source) of every leaf; the last two empty for what is not a number."""
    for key, value in leaves(content):
        if key in ("name", "summary"):
            continue
        if is_number(value):
            yield key, f"{value['value']:g}", value["unit"], value["source"]
        else:
            yield key, "none" if value in (None, []) else str(value), "", ""
