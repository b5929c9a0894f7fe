"""tilewright compile"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from tilewright.compiler.cli import completion, options
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.compiler.cli.settings import parse_adapters, parse_assignments, parse_changes
from tilewright.compiler.engineering import counted
from tilewright.targets.loading import load_chip


def compile_command(
    model: Annotated[str, typer.Argument(metavar="source", help="A HuggingFace folder or hub name, or an .onnx file.")],
    folder: Annotated[Path, typer.Option("-o", "--output", help="The folder to write the plan to.")],
    target: Annotated[
        str,
        typer.Option(
            help="A target's name (see: tilewright targets) or a YAML file.",
            autocompletion=completion.names_of("chip", "analog", "digital"),
        ),
    ] = "pcm-512",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Sample inputs that fix the input ranges: .npz of input arrays, or .txt with a text a line."),
    ] = None,
    changes: options.Changes = None,
    assign: Annotated[
        list[str] | None,
        typer.Option(help="PATTERN=TARGET: which of the chip's targets layers run on. May be repeated."),
    ] = None,
    programming: Annotated[
        list[str] | None,
        typer.Option(
            help="METHOD for all layers on tiles, or PATTERN=METHOD. May be repeated; the last match counts.",
            autocompletion=completion.names_of("programming"),
        ),
    ] = None,
    attention_bits: Annotated[
        list[str] | None,
        typer.Option(
            help="BITS of the attention units: 2 to 16, bf16, fp32, a unit's name, or target; or PATTERN=BITS. May be "
            "repeated; the last match counts."
        ),
    ] = None,
    adapters: Annotated[
        list[str] | None,
        typer.Option(
            "--adapter",
            help="NAME=FOLDER or FOLDER: a LoRA adapter that peft saved, to be chosen when the plan runs. May be "
            "repeated.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name in the plan.")] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Run the original beside the plan (ONNX: by onnxruntime) and note the difference."
        ),
    ] = False,
    config_only: Annotated[
        bool,
        typer.Option(
            "--config-only",
            help="Map a HuggingFace model of any size from its config alone: tiles, cost and report; it cannot be run.",
        ),
    ] = False,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache",
            help="Keep the traced network, so that the same model on another target takes seconds (see: tilewright "
            "doctor).",
        ),
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace a plan that is there already.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Compile a model into a plan: trace it, find its layers, place them on tiles, and verify every step."""
    from tilewright.runtime.plan.files import PLAN
    from tilewright.runtime.storage.atomic_folder import check_destination
    from tilewright.runtime.storage.cache_folder import cache_folder, cache_problem
    from tilewright.runtime.storage.sample_files import read_samples

    check_destination(folder, PLAN, overwrite=force)
    beside = parse_adapters(adapters)
    samples = read_samples(calibration, "calibration")
    chip = load_chip(target, parse_changes(changes))
    from tilewright.compiler.driver import compile
    from tilewright.compiler.mapping.overrides import EVERY_LAYER
    from tilewright.compiler.report.summary import summarise
    from tilewright.compiler.steps import LOWERING

    passes: list[dict[str, Any]] = []
    started = time.perf_counter()
    with progress_bar("compile") as advance:
        advance(0, 1, f"load and trace {model}")

        def on_pass(pass_name: str, number: int, count: int, seconds: float) -> None:
            passes.append({"pass": pass_name, "seconds": round(seconds, 3)})
            advance(number, count, pass_name)

        made = compile(
            model,
            chip,
            calibration=samples,
            attention_bits=_bits(parse_assignments(attention_bits, "attention-bits", EVERY_LAYER)),
            assign=parse_assignments(assign, "assign"),
            programming=parse_assignments(programming, "programming", EVERY_LAYER),
            adapters=beside,
            name=name,
            check=check,
            config_only=config_only,
            cache=cache,
            on_pass=on_pass,
        )
        made.save(folder, overwrite=force)
    seconds = time.perf_counter() - started
    report = summarise(made)
    was_kept = LOWERING[0].__name__ not in {one["pass"] for one in passes}
    place = cache_folder() if cache and not was_kept else None
    problem = None if place is None else cache_problem(place)
    if problem is not None:
        elsewhere = "TILEWRIGHT_CACHE=FOLDER keeps it elsewhere, --no-cache nowhere"
        errors.print(f"note: the traced network was not kept: {problem}; {elsewhere}", soft_wrap=True)
    if as_json:
        done = {"seconds": round(seconds, 3), "traced_earlier": was_kept, "passes": passes}
        print_json({"plan": str(folder), **done, "report": report.to_json()})
        return
    used = f" ({report.utilisation:.1%} used), {counted(report.chips, 'chip')}" if report.tiles else ""
    layers, tiles = counted(len(report.layers), "layer"), counted(report.tiles, "tile")
    output.print(
        f"{report.model} on {report.target}: {layers} on {tiles}{used}; plan written to {folder} in {seconds:.1f} s"
        + (", from the network that an earlier compile traced" if was_kept else ""),
        soft_wrap=True,
    )
    if report.checked_against is not None:
        difference = f"{report.checked_relative_error:.1e}"
        output.print(f"checked against {report.checked_against}: largest relative difference {difference}")
    for note in report.notes:
        errors.print(f"changed: {note}", soft_wrap=True)
    for warning in report.warnings:
        errors.print(f"note: {warning}", soft_wrap=True)


def _bits(wanted: dict[str, str]) -> dict[str, int | str]:
    """Bits of attention units, or a unit's name, by pattern."""
    return {pattern: int(bits) if bits.lstrip("-").isdigit() else bits for pattern, bits in wanted.items()}
