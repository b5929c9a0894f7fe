"""tilewright doctor"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import output, print_json
from tilewright.compiler.report.plain_console import PlainTable

if TYPE_CHECKING:
    from tilewright.runtime.execution.doctor import Diagnosis


def doctor_command(as_json: options.AsJson = False) -> None:
    """Tell what this installation runs with: kernels and why not better ones, threads, cache, versions."""
    from tilewright.runtime.execution.doctor import OPTIONAL, doctor

    found = doctor()
    if as_json:
        print_json(found.to_json())
        return
    table = PlainTable(["part"], after=["runs with"])
    table.add_row("kernels", f"{found.kernels.name}: {found.kernels.why}")
    table.add_row("processor", " ".join([found.processor, *found.kernels.features]))
    table.add_row("threads", str(found.threads))
    table.add_row("random numbers", f"version {found.draws}")
    table.add_row("traced networks", _kept(found))
    for package, installed in found.versions.items():
        missing = f"not installed; pip install 'tilewright[{OPTIONAL.get(package, '')}]' brings it"
        table.add_row(package, installed or missing)
    output.print(table)


def _kept(found: Diagnosis) -> str:
    """Place of the traced networks, what they take and may take; or the reason why there are none."""
    if found.cache is None:
        return "off"
    taken = f"{found.cache_bytes / 2**20:,.0f} MB of at most {found.cache_limit / 2**30:,.0f} GB"
    if found.cache_problem is not None:
        return f"{found.cache}: nothing is kept there: {found.cache_problem}"
    return f"{found.cache}: {taken}; removing the folder empties it"
