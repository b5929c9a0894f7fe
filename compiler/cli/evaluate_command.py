"""tilewright evaluate"""

from __future__ import annotations

from typing import Any

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import errors, output, print_json, progress_bar
from tilewright.compiler.cli.shared_options import with_evaluation_options
from tilewright.compiler.report.accuracy_table import accuracy_table
from tilewright.compiler.report.totals import measured_on


@with_evaluation_options(times="1s,1h,1d,1w,1mo")
def evaluate_command(
    plan: options.PlanFolder,
    *,
    how: dict[str, Any],
    dask: options.Dask = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure accuracy over time: the digital reference, then mean and standard error over chips at each time.

    Beside them 95 % intervals over examples, and over examples and chips; A*; and whether iso-accuracy holds.
    """
    from tilewright.runtime.measuring.clusters import dask_executor
    from tilewright.runtime.measuring.evaluate import evaluate
    from tilewright.runtime.plan.plan import load
    from tilewright.targets.paths import shown_path

    loaded, results = load(plan), how["results"]
    done, count = 0, 0
    try:
        with progress_bar("evaluate") as advance, dask_executor(dask) as executor:

            def counted(number: int, of: int, what: str) -> None:
                nonlocal done, count
                done, count = number, of
                advance(number, of, what)

            found = evaluate(loaded, **how, executor=executor, on_measurement=counted)
    except KeyboardInterrupt:
        if results and done:
            kept = f"{done} of {count} measurements are kept in {shown_path(results[0])}"
            errors.print(f"{kept}; the same command goes on from there", soft_wrap=True)
        raise
    content = found.to_json()
    if as_json:
        print_json(content)
        return
    compensation = "" if found.drift_compensation else ", no drift compensation"
    over = measured_on(found.examples, found.repeats)
    adapter_text = f", adapter {found.adapter}" if found.adapter else ""
    title = f"{found.metric}: {found.task}, {over}, seed {found.seed}{adapter_text}{compensation}"
    output.print(accuracy_table(content, title))
    for note in found.notes:
        output.print(f"note: {note}")
