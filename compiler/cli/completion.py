"""Completion of words in a shell: names of the library, and of the layers of a plan. Loads no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import typer

from tilewright.targets.library import library_files

LARGEST_PLAN = 2**26
"""Bytes of a plan.json whose layers are offered: nobody waits for a shell to read more."""


def names_of(*kinds: str) -> Callable[[str], Iterator[str]]:
    """Completion by the library's names of these kinds; of all kinds if none is given."""
    return lambda incomplete: _beginning(list(library_files(*kinds)), incomplete)


def words(*known: str) -> Callable[[str], Iterator[str]]:
    """Completion by these words."""
    return lambda incomplete: _beginning(known, incomplete)


def layers(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Completion by the layers, and products of activations, of the plan that was named before."""
    return _of_plan(ctx, incomplete, "layers", "matmuls")


def adapters(ctx: typer.Context, incomplete: str) -> Iterator[str]:
    """Completion by the adapters of the plan that was named before."""
    return _of_plan(ctx, incomplete, "adapters")


def _of_plan(ctx: typer.Context, incomplete: str, *kinds: str) -> Iterator[str]:
    """Completion by the names of records of the plan that was named before."""
    file = Path(str(ctx.params.get("plan"))) / "plan.json"
    try:
        if file.stat().st_size > LARGEST_PLAN:
            return iter(())
        document = json.loads(file.read_text(encoding="utf-8"))
        names = [str(record["name"]) for kind in kinds for record in document[kind]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return iter(())  # it is no plan, which the command will say
    return _beginning([name for name in names if name.isprintable()], incomplete)


def _beginning(names: Sequence[str], incomplete: str) -> Iterator[str]:
    return (name for name in names if name.startswith(incomplete))
