"""tilewright run"""

from __future__ import annotations

import math
import time as clock
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tilewright.compiler.cli import options
from tilewright.compiler.cli.arrays import read_arrays, write_arrays
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.runtime.storage.atomic_file import check_output_file
from tilewright.runtime.storage.memory_budget import check_memory
from tilewright.targets.limits import check_repeats, check_seed, check_whole


def run_command(
    plan: Annotated[Path, typer.Argument(help="A plan's folder.")],
    inputs: Annotated[Path, typer.Option(help="An .npz file with the model's inputs by name, samples first.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The .npz file to write the outputs to.")],
    time: Annotated[str, typer.Option(help="Time since programming: 0, 1s, 1h, 1d, 1w, 1mo, 1y.")] = "1s",
    seed: Annotated[int, typer.Option(help="Names the chip.")] = 0,
    repeats: Annotated[int, typer.Option(help="Number of chips; above 1 the outputs have them as first axis.")] = 1,
    ideal: Annotated[bool, typer.Option("--ideal", help="The digital reference in full precision.")] = False,
    batch_size: Annotated[int, typer.Option(help="Samples at once; the results do not depend on it.")] = 64,
    no_drift_compensation: Annotated[
        bool, typer.Option("--no-drift-compensation", help="Leave the drift as it is.")
    ] = False,
    layer_by_layer: options.LayerByLayer = False,
    conductances: Annotated[
        str, typer.Option(help="What programmed ones are kept in: float32, or bfloat16 in half the memory.")
    ] = "float32",
    force: Annotated[bool, typer.Option("--force", help="Replace an output file that is there already.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Run a plan on a simulated chip, and write the model's outputs by the model's names."""
    check_repeats(repeats)
    check_whole("batch size", batch_size)
    check_seed(seed)
    check_output_file(out, overwrite=force)
    from tilewright.targets.times import parse_time

    seconds = parse_time(time)
    arrays = read_arrays(inputs)
    import numpy as np

    from tilewright.runtime.execution.batching import find_nonfinite, run_in_batches
    from tilewright.runtime.execution.inputs import prepare_inputs
    from tilewright.runtime.execution.session import Session
    from tilewright.runtime.plan.plan import load

    loaded = load(plan)
    prepared = prepare_inputs(loaded.document, arrays)
    exact = Session(loaded, ideal=True)
    reference = _numbers(run_in_batches(exact, prepared, batch_size))
    check_memory(repeats * sum(value.nbytes for value in reference.values()), f"outputs of {repeats} repeats")
    outputs = {name: np.broadcast_to(value, (repeats, *value.shape)) for name, value in reference.items()}
    origin = find_nonfinite(exact, prepared, batch_size) if ideal and _not_finite(reference) else None
    started = clock.perf_counter()
    if not ideal:
        outputs = {name: np.empty(value.shape, value.dtype) for name, value in outputs.items()}
        with progress_bar("run") as advance:
            for repeat in range(repeats):
                advance(repeat, repeats, f"chip {repeat}")
                session = Session(
                    loaded,
                    seed,
                    repeat=repeat,
                    drift_compensation=not no_drift_compensation,
                    conductances=conductances,  # type: ignore[arg-type]
                    layer_by_layer=layer_by_layer,
                )
                ran = _numbers(run_in_batches(session.advance_to(seconds), prepared, batch_size))
                for name, value in ran.items():
                    outputs[name][repeat] = value
                if origin is None and _not_finite(ran):
                    origin = find_nonfinite(session, prepared, batch_size)
    write_arrays(out, outputs if repeats > 1 else {name: value[0] for name, value in outputs.items()})
    lines = [_describe(name, outputs[name], reference[name]) for name in reference]
    strange = sum(line["nonfinite"] for line in lines)
    if strange:
        where = f": {origin.sentence}" if origin is not None else ""
        errors.print(f"the outputs hold {strange} NaNs and infinities{where}", soft_wrap=True)
    if as_json:
        chip = None if ideal else {"seed": seed, "repeats": repeats, "time": time, "seconds_since_programming": seconds}
        elapsed = round(clock.perf_counter() - started, 3)
        content = {"output": str(out), "ideal": ideal, "chip": chip, "outputs": lines, "seconds": elapsed}
        print_json({**content, "nonfinite": strange, "nonfinite_origin": asdict(origin) if origin else None})
        return
    what = "digital reference" if ideal else f"{repeats} chip(s) of seed {seed} at {time}"
    output.print(f"{what}, written to {out}:")
    for line in lines:
        error = "" if ideal else f", error against digital {line['relative_error']:.3f}"
        error += f", {line['nonfinite']} not finite" if line["nonfinite"] else ""
        output.print(f"  {line['name']} {line['dtype']} {line['shape']}{error}")


def _numbers(outputs: dict[str, Any]) -> dict[str, Any]:
    """Tensors as numpy arrays: bfloat16, which numpy lacks, as float32."""
    bfloat16 = "torch.bfloat16"
    return {name: (value.float() if str(value.dtype) == bfloat16 else value).numpy() for name, value in outputs.items()}


def _not_finite(outputs: dict[str, Any]) -> int:
    """NaNs and infinities in the outputs of one chip."""
    import numpy as np

    return sum(int((~np.isfinite(value)).sum()) for value in outputs.values())


def _describe(name: str, values: Any, reference: Any) -> dict[str, Any]:
    """Shape, and ||y - ŷ|| / ||y|| over all repeats, of what is finite in both; how much is not finite."""
    import numpy as np

    exact = reference.astype(np.float64)
    norms, apart = [], []
    for value in values:
        found = value.astype(np.float64)
        finite = np.isfinite(exact) & np.isfinite(found)
        norms.append(float(np.linalg.norm(exact[finite])))
        apart.append(float(np.linalg.norm(found[finite] - exact[finite])))
    norm = math.hypot(*norms)
    return {
        "name": name,
        "dtype": str(values.dtype),
        "shape": list(values.shape if len(values) > 1 else values.shape[1:]),
        "relative_error": math.hypot(*apart) / norm if norm else 0.0,
        "nonfinite": sum(_not_finite({name: value}) for value in values),
    }
