"""tilewright operations"""

from __future__ import annotations

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import output, print_json
from tilewright.compiler.cli.settings import parse_sizes
from tilewright.compiler.report.plain_console import PlainTable


def operations_command(
    plan: options.PlanFolder,
    sizes: options.At = None,
    adapter: options.Adapter = None,
    as_json: options.AsJson = False,
) -> None:
    """Count the multiplications of a run: on tiles, on digital units, and in attention, at each size of the inputs."""
    from tilewright.runtime.measuring.operations import count_operations
    from tilewright.runtime.plan.plan import load

    wanted = [parse_sizes(text) for text in sizes or [""]]
    loaded = load(plan)
    found = [count_operations(loaded, at, adapter=adapter) for at in wanted]
    if as_json:
        print_json([one.to_json() for one in found])
        return
    of_adapter = ["of the adapter"] if adapter is not None else []
    figures = [*found[0].sizes, "on tiles", "on digital units", *of_adapter, "in attention", "attention's share"]
    table = PlainTable(figures=figures, title="multiplications with an addition")
    for one in found:
        beside = [one.on_adapters] if adapter is not None else []
        counts = (one.on_tiles, one.on_digital_units, *beside, one.on_attention_units)
        table.add_row(*map(str, one.sizes.values()), *(f"{count:,}" for count in counts), f"{one.attention_share:.1%}")
    output.print(table)
