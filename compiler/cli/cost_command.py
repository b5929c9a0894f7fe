"""tilewright cost"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tilewright.compiler.cli import options
from tilewright.compiler.cli.console import output, print_json
from tilewright.compiler.cli.settings import parse_sizes
from tilewright.compiler.engineering import engineering, share, sizes_text
from tilewright.compiler.report.plain_console import PlainTable
from tilewright.targets.errors import InputError, nearest

if TYPE_CHECKING:
    from tilewright.compiler.cost import CostEstimate, GenerationCost
    from tilewright.runtime.plan.plan import Plan

TEXTS = {"prefill", "decode"}
"""Sizes of texts that are generated."""


def cost_command(
    plan: options.PlanFolder,
    sizes: options.At = None,
    preset: options.Preset = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="A line for each layer and product, at the first size.")
    ] = False,
    adapter: options.Adapter = None,
    as_json: options.AsJson = False,
) -> None:
    """Estimate energy, latency and area of a run, by component, and say what is not modelled or assumed."""
    from tilewright.compiler.cost import estimate_cost
    from tilewright.runtime.plan.plan import load

    wanted = [parse_sizes(text) for text in sizes or [""]]
    loaded = load(plan)
    of_texts = [TEXTS & set(at) for at in wanted]
    if any(of_texts):
        if not all(of_texts) or layers:
            raise InputError(
                "--at of texts (prefill=, decode=) stands alone: without other sizes, and without --layers"
            )
        _generated([_of_text(loaded, at, preset, adapter) for at in wanted], as_json=as_json)
        return
    found = [estimate_cost(loaded, at, preset, adapter=adapter) for at in wanted]
    if as_json:
        print_json([one.to_json() for one in found])
        return
    first = found[0]
    output.print(f"{first.preset}, {first.status} figures", soft_wrap=True)
    output.print(_totals(found))
    if any(one.components for one in found):
        output.print(_components(found))
    if layers:
        output.print(_layers(first))
    if any(layer.tiles for layer in first.layers) and first.energy_nj:
        output.print(_cheaper(found))
    for line in _attention(first):
        output.print(line, soft_wrap=True)
    _print_limits(first.assumptions, first.not_modelled)


def _of_text(plan: Plan, at: dict[str, int], preset: str | None, adapter: str | None) -> GenerationCost:
    """Cost of texts of these sizes. Raises ``InputError`` for other names of sizes."""
    from tilewright.compiler.cost import estimate_generation

    for name in at:
        if name not in (*TEXTS, "batch"):
            raise InputError(f"a text has no size {name!r}; {nearest(name, (*sorted(TEXTS), 'batch'))}")
    return estimate_generation(plan, **({"prefill": 128, "decode": 128} | at), preset=preset, adapter=adapter)


def _generated(found: list[GenerationCost], *, as_json: bool) -> None:
    if as_json:
        print_json([one.to_json() for one in found])
        return
    first = found[0]
    output.print(f"{first.first.preset}, {first.first.status} figures", soft_wrap=True)
    headings = [f"prefill {one.prefill}, decode {one.decode}, batch {one.batch}" for one in found]
    table = PlainTable([""], headings, title="texts that grow from prompts")
    rows = {
        "time to first token": [engineering(one.time_to_first_token_ns or None, "ns") for one in found],
        "tokens a second": [engineering(one.tokens_per_second, "") for one in found],
        "pipelined, tokens a second": [engineering(one.pipelined_tokens_per_second, "") for one in found],
        "energy a token, prompts included": [engineering(one.energy_nj_per_token or None, "nJ") for one in found],
        "energy of a token half way": [engineering(one.step_nj / one.batch or None, "nJ") for one in found],
        "energy": [engineering(one.energy_nj or None, "nJ") for one in found],
        "time": [engineering(one.latency_ns or None, "ns") for one in found],
        "keys and values at the end": [engineering(one.kept_bytes or None, "B") for one in found],
        "keys and values moved a step": [engineering(one.moved_bytes_a_step or None, "B") for one in found],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    output.print(table)
    _print_limits(first.first.assumptions, first.not_modelled)


def _print_limits(assumptions: list[str], not_modelled: list[str]) -> None:
    """Print what nobody published, and what has no figure."""
    for line in assumptions:
        output.print(f"assumed: {line}", soft_wrap=True)
    for line in not_modelled:
        output.print(f"not modelled: {line}", soft_wrap=True)


def _totals(found: list[CostEstimate]) -> PlainTable:
    table = PlainTable([""], [sizes_text(one.sizes) for one in found], title="one run")
    rows = {
        "energy": [engineering(one.energy_nj or None, "nJ") for one in found],
        "energy a token": [engineering(one.energy_nj / one.tokens or None, "nJ") for one in found],
        "latency": [engineering(one.latency_ns or None, "ns") for one in found],
        "pipelined, samples a second": [engineering(one.samples_per_second, "") for one in found],
        "operations a joule": [engineering(one.operations_per_joule, "") for one in found],
        "area of tiles in use": [f"{one.area_mm2:.4g} mm2" for one in found],
        "attention's share of MACs": [share(one.attention_share_of_macs) for one in found],
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    return table


def _components(found: list[CostEstimate]) -> PlainTable:
    table = PlainTable(["component"], [sizes_text(one.sizes) for one in found], title="energy by component")
    for component in dict.fromkeys(name for one in found for name in one.components):
        cells = []
        for one in found:
            energy = one.components.get(component, 0.0)
            part = energy / one.energy_nj if one.energy_nj else 0.0
            cells.append(f"{engineering(energy, 'nJ')} ({share(part)})")
        table.add_row(component, *cells)
    return table


def _layers(one: CostEstimate) -> PlainTable:
    figures = ["target", "tiles", "reads", "energy", "share", "latency", "area"]
    table = PlainTable(["layer"], figures, title=f"by layer, {sizes_text(one.sizes)}")

    def cells(energy: float, latency: float) -> tuple[str, str, str]:
        part = share(energy / one.energy_nj) if one.energy_nj else ""
        return engineering(energy, "nJ"), part, engineering(latency, "ns")

    for layer in one.layers:
        costs, area = cells(layer.total_nj, layer.latency_ns), f"{layer.area_mm2:.3g} mm2"
        table.add_row(layer.name, layer.target, str(layer.tiles), str(layer.reads), *costs, area)
    for beside in one.adapters:
        table.add_row(
            f"{beside.name} (adapter)", beside.operands, "", "", *cells(beside.energy_nj, beside.latency_ns), ""
        )
    for product in one.attention:
        table.add_row(product.name, product.operands, "", "", *cells(product.energy_nj, product.latency_ns), "")
    return table


def _attention(one: CostEstimate) -> list[str]:
    """Comparison of products of activations with BF16's, a line a format."""
    kinds = {(a.operands, a.relative_energy, a.relative_area) for a in one.attention}
    return [
        f"attention in {operands.upper()}: a product takes {energy:.2g} of BF16's energy and {area:.2g} of its area"
        for operands, energy, area in sorted(kinds, key=str)
        if energy and area and operands != "bf16"
    ]


def _cheaper(found: list[CostEstimate]) -> PlainTable:
    title = "if tiles got cheaper: energy, attention's share of it"
    table = PlainTable(["by"], [sizes_text(one.sizes) for one in found], title=title)
    columns = [one.with_cheaper_tiles() for one in found]
    for place, row in enumerate(columns[0]):
        cells = [
            f"{engineering(column[place]['energy_nj'], 'nJ')} ({share(column[place]['attention_share'])})"
            for column in columns
        ]
        table.add_row(f"{row['tiles_cheaper_by']:g}", *cells)
    return table
