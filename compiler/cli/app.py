"""The program: its commands, and how errors leave it."""

from __future__ import annotations

import errno
import signal
import sys
from importlib.metadata import version as installed_version
from typing import Annotated, Any

import typer

from tilewright.compiler.cli import (
    assign_command,
    characterize_command,
    compile_command,
    cost_command,
    diff_command,
    evaluate_command,
    explain_command,
    operations_command,
    report_command,
    run_command,
    sensitivity_command,
    targets_command,
)
from tilewright.compiler.cli.console import errors
from tilewright.targets.errors import InputError

INTERRUPTED = 130
"""The exit code of a program that was stopped, by Ctrl-C or by SIGTERM."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compile")(compile_command.compile_command)
app.command("report")(report_command.report_command)
app.command("explain")(explain_command.explain_command)
app.command("diff")(diff_command.diff_command)
app.command("operations")(operations_command.operations_command)
app.command("sensitivity")(sensitivity_command.sensitivity_command)
app.command("assign")(assign_command.assign_command)
app.command("cost")(cost_command.cost_command)
app.command("run")(run_command.run_command)
app.command("evaluate")(evaluate_command.evaluate_command)
app.command("characterize")(characterize_command.characterize_command)
app.command("targets")(targets_command.targets_command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tilewright {installed_version('tilewright')}")
        raise typer.Exit


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Compile trained networks for analog in-memory chips, and run the plans on simulated ones."""


def main() -> None:
    """Run the program. Wrong input ends in one sentence and code 2; a bug of tilewright keeps its traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        app()
    except InputError as error:
        errors.print(f"error: {error}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except SystemExit as leaving:
        if leaving.code == INTERRUPTED:  # typer turns an interrupt into this code
            errors.print("interrupted: nothing half-done was left")
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        errors.print(f"error: {error.filename or 'output'} cannot be written: {error.strerror}")
        sys.exit(2)


def _terminate(number: int, frame: Any) -> None:
    """Leave by the way of Ctrl-C, so that half-written files are removed."""
    raise KeyboardInterrupt
