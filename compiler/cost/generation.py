"""Cost of generating text: the pass over the prompts, then a pass a token, with keys and values kept.

A pass over L tokens reads every layer L times and multiplies L rows of queries by L keys. With keys and values kept, a
token at the end of a text of L tokens reads every layer once and multiplies one row by L keys: a part in L of all
energies and times of the pass over L tokens. Over the steps of a text this grows evenly, so the step in the middle
stands for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from tilewright.compiler.cost.estimate import CostEstimate, estimate_cost
from tilewright.compiler.engineering import engineering
from tilewright.runtime.execution.shape_run import ShapeRun, shape_run
from tilewright.runtime.measuring.operations import input_on_meta
from tilewright.runtime.plan.names import MATMUL_PREFIX
from tilewright.runtime.plan.plan import Plan, check_is_plan, chosen_plan
from tilewright.runtime.plan.records import BATCH
from tilewright.runtime.plan.usual_sizes import choose_sizes
from tilewright.targets.errors import InputError
from tilewright.targets.limits import check_whole
from tilewright.targets.spec import Cost, bits_of

SEQUENCE = "sequence"
EXPANDS = {torch.ops.aten.expand.default, torch.ops.aten.repeat.default, torch.ops.aten.repeat_interleave.self_int}
"""Operators that give one key or value to several heads, which is kept once."""


@dataclass(frozen=True)
class GenerationCost:
    """Cost of texts that grow from prompts, side by side.

    batch: texts at once. prefill: tokens of each prompt. decode: tokens that each gets, of which the pass over the
    prompts gives the first. first: cost of that pass. middle: of a pass over a text half way, of whose L tokens the
    step of one is a part in L. kept_bytes_per_token: keys and values of one token of one text, in the formats of the
    attention units, as the network's own code computes them.
    """

    batch: int
    prefill: int
    decode: int
    first: CostEstimate
    middle: CostEstimate
    kept_bytes_per_token: int

    @property
    def length(self) -> int:
        """Tokens of a text half way."""
        return self.middle.sizes[SEQUENCE]

    @property
    def time_to_first_token_ns(self) -> float:
        """Time of the pass over the prompts, in ns."""
        return self.first.latency_ns

    @property
    def step_ns(self) -> float:
        """Time of a token half way, of all texts side by side, in ns."""
        return self.middle.latency_ns / self.length

    @property
    def step_nj(self) -> float:
        """Energy of a token of every text half way, in nJ."""
        return self.middle.energy_nj / self.length

    @property
    def energy_nj(self) -> float:
        """Energy of all texts, in nJ: the prompts and every token."""
        return self.first.energy_nj + (self.decode - 1) * self.step_nj

    @property
    def latency_ns(self) -> float:
        """Time until all texts are there, in ns."""
        return self.first.latency_ns + (self.decode - 1) * self.step_ns

    @property
    def energy_nj_per_token(self) -> float:
        """Energy of everything, by tokens that were made, in nJ."""
        return self.energy_nj / (self.batch * self.decode)

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens a second of all texts, where each waits for the one before; None without any time."""
        return 1e9 * self.batch / self.step_ns if self.step_ns else None

    @property
    def pipelined_tokens_per_second(self) -> float | None:
        """Tokens a second where so many texts are on the way that the busiest part works all the time."""
        interval = self.middle.interval_ns / self.length
        return 1e9 * self.batch / interval if interval else None

    @property
    def kept_bytes(self) -> int:
        """Keys and values of all texts at their end, in bytes."""
        return self.batch * (self.prefill + self.decode - 1) * self.kept_bytes_per_token

    @property
    def moved_bytes_a_step(self) -> int:
        """Keys and values that a step half way reads and writes, in bytes."""
        return self.batch * self.length * self.kept_bytes_per_token

    @property
    def not_modelled(self) -> list[str]:
        """Work that the preset has no figure for."""
        moved = f"keys and values: energy and time of moving {engineering(self.moved_bytes_a_step, 'B')} a step"
        return [*self.first.not_modelled, *([moved] if self.kept_bytes_per_token else [])]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``."""
        names = (
            "energy_nj", "energy_nj_per_token", "latency_ns", "time_to_first_token_ns", "step_ns", "step_nj",
            "tokens_per_second", "pipelined_tokens_per_second", "kept_bytes", "moved_bytes_a_step", "not_modelled",
        )  # fmt: skip
        return {
            "batch": self.batch, "prefill": self.prefill, "decode": self.decode,
            "kept_bytes_per_token": self.kept_bytes_per_token, "preset": self.first.preset, "status": self.first.status,
            **{name: getattr(self, name) for name in names},
            "components_nj": self.components, "assumptions": self.first.assumptions, "first": self.first.to_json(),
        }  # fmt: skip

    @property
    def components(self) -> dict[str, float]:
        """Energy of everything by component, in nJ."""
        part = (self.decode - 1) / self.length
        names = dict.fromkeys([*self.first.components, *self.middle.components])
        first, middle = self.first.components, self.middle.components
        return {name: first.get(name, 0.0) + part * middle.get(name, 0.0) for name in names}

    def __repr__(self) -> str:
        """A line for a terminal."""
        rate, energy = engineering(self.tokens_per_second, ""), engineering(self.energy_nj_per_token, "nJ")
        sizes = f"{self.prefill} + {self.decode} tokens, batch {self.batch}"
        return f"GenerationCost({sizes}: {rate} tokens/s, {energy} a token)"


def estimate_generation(
    plan: Plan,
    prefill: int,
    decode: int,
    batch: int = 1,
    preset: str | Path | Cost | None = None,
    *,
    adapter: str | None = None,
) -> GenerationCost:
    """Estimate what it costs to generate text with a plan of a causal language model.

    prefill: tokens of a prompt. decode: tokens that a text gets. batch: texts side by side. preset, adapter: as of
    ``estimate_cost``. Every token of a prompt counts a pass of the whole network, the head too. Raises ``InputError``
    for a plan whose inputs are not [batch, sequence], and for texts that are longer than it takes.
    """
    check_is_plan(plan)
    for name, value in (("prefill", prefill), ("decode", decode), ("batch", batch)):
        check_whole(name, value)
    taken = set(plan.document.dimensions)
    if not {BATCH, SEQUENCE} <= taken:
        raise InputError(
            f"text is generated by plans of [{BATCH}, {SEQUENCE}]; this plan's sizes are {', '.join(sorted(taken))}"
        )
    choose_sizes(plan.document, {BATCH: batch, SEQUENCE: prefill + decode - 1})
    return GenerationCost(
        batch,
        prefill,
        decode,
        estimate_cost(plan, {BATCH: batch, SEQUENCE: prefill}, preset, adapter=adapter),
        estimate_cost(plan, {BATCH: batch, SEQUENCE: prefill + decode // 2}, preset, adapter=adapter),
        kept_bytes(chosen_plan(plan, adapter)),
    )


class _Sizes(ShapeRun):
    """Run on shapes that notes how many numbers each node gives."""

    numbers: dict[str, int]

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.numbers[n.name] = result.numel()
        return result


@torch.inference_mode()
def kept_bytes(plan: Plan) -> int:
    """Bytes of the keys and values of one token: the right operands of attention's products, once for all heads that
    share them.
    """
    sizes = choose_sizes(plan.document, {BATCH: 1})
    length = sizes[SEQUENCE]
    runner = shape_run(plan, _Sizes, None)
    runner.numbers = {}
    runner.run(*(input_on_meta(record, sizes) for record in plan.document.inputs))
    formats = {matmul.name: matmul.operands for matmul in plan.document.matmuls if matmul.kind != "product"}
    total = 0.0
    graph = runner.module.graph
    assert isinstance(graph, fx.Graph)
    for node in graph.nodes:
        name = str(node.target).removeprefix(MATMUL_PREFIX)
        if node.op == "call_module" and name in formats and str(node.target).startswith(MATMUL_PREFIX):
            bits = bits_of(formats[name]) or int(formats[name][2:])
            total += _kept_numbers(node.args[1], runner.numbers) / length * bits / 8
    return round(total)


def _kept_numbers(node: fx.Node, numbers: dict[str, int]) -> int:
    """Numbers of a key or value before it was given to several heads."""
    found = numbers.get(node.name, 0)
    while node.op == "call_function" and node.all_input_nodes:
        larger = max(node.all_input_nodes, key=lambda one: numbers.get(one.name, 0))
        if node.target in EXPANDS:
            found = min(found, numbers.get(larger.name, found))
        node = larger
    return found
