"""tilewright run"""

from __future__ import annotations

import time as clock
from pathlib import Path
from typing import Annotated

import typer

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.compiler.engineering import counted


def run_command(
    plan: options.PlanFolder,
    inputs: Annotated[Path, typer.Option(help="An .npz file with the model's inputs by name, samples first.")],
    file: Annotated[Path, typer.Option("-o", "--output", help="The .npz file to write the outputs to.")],
    time: options.Time = "1s",
    seed: Annotated[int, typer.Option(help="Names the chip.")] = 0,
    repeats: Annotated[int, typer.Option(help="Number of chips; above 1 the outputs have them as first axis.")] = 1,
    adapter: options.Adapter = None,
    ideal: Annotated[bool, typer.Option("--ideal", help="The digital reference in full precision.")] = False,
    batch_size: options.BatchSize = 64,
    drift_compensation: options.DriftCompensation = True,
    layer_by_layer: options.LayerByLayer = False,
    conductances: Annotated[
        str, typer.Option(help="What programmed ones are kept in: float32, or bfloat16 in half the memory.")
    ] = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace an output file that is there already.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Run a plan on a simulated chip, and write the model's outputs by the model's names."""
    from tilewright.runtime.execution.run import run
    from tilewright.runtime.plan.plan import load
    from tilewright.runtime.storage.arrays import read_arrays
    from tilewright.runtime.storage.atomic_file import check_output_file

    check_output_file(file, overwrite=force)
    arrays, loaded = read_arrays(inputs), load(plan)
    started = clock.perf_counter()
    with progress_bar("run") as advance:
        found = run(
            loaded,
            arrays,
            time=time,
            seed=seed,
            repeats=repeats,
            adapter=adapter,
            ideal=ideal,
            batch_size=batch_size,
            drift_compensation=drift_compensation,
            layer_by_layer=layer_by_layer,
            conductances=conductances,  # type: ignore[arg-type]
            on_chip=advance,
        )
    elapsed = round(clock.perf_counter() - started, 3)
    found.save(file, overwrite=force)
    content = found.to_json()
    if content["nonfinite"]:
        where = f": {found.nonfinite_origin.sentence}" if found.nonfinite_origin is not None else ""
        errors.print(f"the outputs hold {content['nonfinite']} NaNs and infinities{where}", soft_wrap=True)
    if as_json:
        print_json({"output": str(file), **content, "seconds": elapsed})
        return
    what = "digital reference" if ideal else f"{counted(repeats, 'chip')} of seed {seed} at {time}"
    what += f", adapter {adapter}" if adapter is not None else ""
    output.print(f"{what}, written to {file}:")
    for line in content["outputs"]:
        error = "" if ideal else f", relative error against digital {line['relative_error']:.3f}"
        error += f", {line['nonfinite']} not finite" if line["nonfinite"] else ""
        output.print(f"  {line['name']} {line['dtype']} {line['shape']}{error}")
    for note in found.notes:
        output.print(f"note: {note}")
