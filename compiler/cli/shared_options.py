"""Options that several commands share, written once: they stand where a command has its parameter ``how``."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

from tilewright.compiler.cli import options
from tilewright.compiler.cli.settings import parse_chips, parse_task_options


def _of_evaluations(
    task: options.TaskName = None,
    data: options.Data = None,
    times: options.Times = "1s,1mo",
    repeats: options.Repeats = 5,
    chips: options.Chips = None,
    until_error: options.UntilError = None,
    fewest: options.Fewest = 3,
    seed: options.Seed = 0,
    adapter: options.Adapter = None,
    limit: options.Limit = None,
    task_options: options.TaskOptions = None,
    batch_size: options.BatchSize = 64,
    drift_compensation: options.DriftCompensation = True,
    results: options.Results = None,
    resamples: options.Resamples = 200,
    iso: options.Iso = "99%",
    log: options.Log = None,
    layer_by_layer: options.LayerByLayer = False,
    workers: options.Workers = 1,
) -> dict[str, Any]:
    """Options of a command as ``evaluate`` takes them, by name."""
    from tilewright.targets.times import parse_times

    return {
        "task": task, "data": data, "times": list(parse_times(times)), "repeats": repeats, "chips": parse_chips(chips),
        "until_error": until_error, "fewest": fewest, "seed": seed, "adapter": adapter, "limit": limit,
        "task_options": parse_task_options(task_options), "batch_size": batch_size,
        "drift_compensation": drift_compensation, "results": results or None, "resamples": resamples, "iso": iso,
        "log": log, "layer_by_layer": layer_by_layer, "workers": workers,
    }  # fmt: skip


def with_evaluation_options(times: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of evaluations too; it gets ``how``, what ``evaluate`` takes by name.

    times: the command's own default.
    """
    shared = dict(inspect.signature(_of_evaluations).parameters)
    if times is not None:
        shared["times"] = shared["times"].replace(default=times)

    def given(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**values: Any) -> None:
            values = {one.name: one.default for one in shared.values()} | values
            how = _of_evaluations(**{name: values.pop(name) for name in shared})
            command(how=how, **values)

        hints = {
            name: hint
            for one in (_of_evaluations, command)
            for name, hint in typing.get_type_hints(one, include_extras=True).items()
        }
        parameters: list[inspect.Parameter] = []
        for name, one in inspect.signature(command).parameters.items():
            parameters += shared.values() if name == "how" else [one]
        ordered = [one.replace(annotation=hints[one.name], kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]
        run.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in ordered}
        return run

    return given
