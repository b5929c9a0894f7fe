"""The program's commands."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from tilewright.compiler.cli import (
    adapter_command,
    assign_command,
    characterize_command,
    compile_command,
    cost_command,
    diff_command,
    doctor_command,
    evaluate_command,
    explain_command,
    export_command,
    generate_command,
    operations_command,
    report_command,
    results_command,
    run_command,
    sensitivity_command,
    study_commands,
    targets_command,
    train_command,
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compile")(compile_command.compile_command)
app.command("report")(report_command.report_command)
app.command("explain")(explain_command.explain_command)
app.command("diff")(diff_command.diff_command)
app.command("operations")(operations_command.operations_command)
app.command("sensitivity")(sensitivity_command.sensitivity_command)
app.command("assign")(assign_command.assign_command)
app.add_typer(adapter_command.adapter_app, name="adapter")
app.command("cost")(cost_command.cost_command)
app.command("run")(run_command.run_command)
app.command("generate")(generate_command.generate_command)
app.command("evaluate")(evaluate_command.evaluate_command)
app.command("sweep")(study_commands.sweep_command)
app.command("ablate")(study_commands.ablate_command)
app.command("pareto")(study_commands.pareto_command)
app.command("study")(study_commands.study_command)
app.command("results")(results_command.results_command)
app.command("train")(train_command.train_command)
app.command("characterize")(characterize_command.characterize_command)
app.command("export")(export_command.export_command)
app.command("targets")(targets_command.targets_command)
app.command("doctor")(doctor_command.doctor_command)


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
