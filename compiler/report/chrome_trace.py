"""The schedule of a run as a Chrome trace: chrome://tracing and Perfetto open it."""

from __future__ import annotations

from typing import Any

from tilewright.compiler.engineering import sizes_text
from tilewright.compiler.report.report import Report
from tilewright.targets.errors import InputError

MICRO = 1e-3
"""Microseconds of a nanosecond: a trace counts in µs."""


def chrome_trace(report: Report) -> dict[str, Any]:
    """Chrome trace of the usual run: a process a target, a thread a layer or product, an event a call.

    Raises ``InputError`` without a cost preset.
    """
    if report.cost is None:
        raise InputError(
            f"a schedule needs times, and nothing is known of those of {report.target}: it has no cost preset"
        )
    layers = {layer.record.name: layer for layer in report.layers}
    targets = {name: layer.record.target for name, layer in layers.items()}
    targets |= {matmul.name: f"{matmul.operands} attention units" for matmul in report.matmuls}
    processes = {target: number for number, target in enumerate(dict.fromkeys(targets.values()), start=1)}
    threads = {name: number for number, name in enumerate(targets, start=1)}
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": number, "args": {"name": target}}
        for target, number in processes.items()
    ]
    events += [
        {"ph": "M", "name": "thread_name", "pid": processes[targets[name]], "tid": number, "args": {"name": name}}
        for name, number in threads.items()
    ]
    for call in report.calls:
        layer = layers.get(call.name)
        about = {"energy_nj": layer.energy_nj, "tiles": layer.tiles} if layer is not None else {}
        events.append(
            {
                "ph": "X",
                "name": call.name,
                "cat": targets[call.name],
                "ts": call.start_ns * MICRO,
                "dur": (call.end_ns - call.start_ns) * MICRO,
                "pid": processes[targets[call.name]],
                "tid": threads[call.name],
                "args": {"use": call.use, "waits for": call.before, **about},
            }
        )
    about_all = {"model": report.model, "run": sizes_text(report.cost.sizes), "cost": report.cost.preset}
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": about_all}
