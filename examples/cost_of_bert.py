"""Costs of a BERT on tiles: attention's part, its number format, cheaper tiles, and published systems beside ours.

    python examples/cost_of_bert.py [--layers 12] [--hidden 768] [--heads 12] [--lengths 64,128,256,512]

Weights are random: costs depend on shapes alone. For BERT-base (the defaults) this takes a minute or two.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace

import torch
from transformers import BertConfig, BertModel

import tilewright

PUBLISHED = {
    "all weights on tiles (Burr 2023)": (0.55e-3, 29.1e12),
    "weights swapped (Burr 2023)": (3.70e-3, 27.4e12),
}
"""BERT-base with 128 tokens: seconds, operations a joule."""
FORMATS = ("int6", "int8", "bf16")


def build(options: argparse.Namespace) -> tilewright.Plan:
    """A plan of the network."""
    config = BertConfig(
        num_hidden_layers=options.layers,
        hidden_size=options.hidden,
        num_attention_heads=options.heads,
        intermediate_size=4 * options.hidden,
        vocab_size=1000,
    )
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        BertModel(config, add_pooling_layer=False).eval().save_pretrained(folder)
        return tilewright.compile(folder)


def main() -> None:
    """Print what a reader of the papers would ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("layers", 12), ("hidden", 768), ("heads", 12)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--lengths", default="64,128,256,512")
    options = parser.parse_args()
    lengths = [int(length) for length in options.lengths.split(",")]

    plan = build(options)
    print("tokens  attention's share of MACs  energy  attention's share  latency")
    for length in lengths:
        cost = tilewright.estimate_cost(plan, {"sequence": length})
        print(
            f"{length:6} {cost.attention_share_of_macs:26.1%} {cost.energy_nj / 1e3:5.0f} µJ "
            f"{cost.attention_nj / cost.energy_nj:18.1%} {cost.latency_ns / 1e3:5.0f} µs"
        )

    length = 128 if 128 in lengths else lengths[0]
    attention = {}
    for number_format in FORMATS:
        # the cost of a product depends on its format alone
        products = [product.model_copy(update={"operands": number_format}) for product in plan.document.matmuls]
        changed = replace(plan, document=plan.document.model_copy(update={"matmuls": products}))
        found = tilewright.estimate_cost(changed, {"sequence": length})
        attention[number_format] = (found.attention_nj, found.attention[0].relative_area or float("nan"))
    reference = attention["bf16"]
    for number_format, (energy, area) in attention.items():
        print(f"attention in {number_format}: {energy / 1e3:.1f} µJ, {reference[0] / energy:.1f}x less than BF16 in "
              f"energy, {reference[1] / area:.1f}x in area")  # fmt: skip
    cost = tilewright.estimate_cost(plan, {"sequence": length})
    for row in cost.with_cheaper_tiles():
        print(f"tiles cheaper by {row['tiles_cheaper_by']:g}: {row['energy_nj'] / 1e3:.0f} µJ, attention's share "
              f"{row['attention_share']:.0%}")  # fmt: skip

    operations = cost.operations_per_joule or float("nan")
    print(f"ours, {length} tokens: {cost.latency_ns / 1e6:.2f} ms, {operations / 1e12:.1f} TOPS/W, "
          f"{cost.energy_nj / 1e6:.2f} mJ")  # fmt: skip
    for name, (seconds, per_joule) in PUBLISHED.items():
        millijoules = 1e3 * 2 * cost.macs / per_joule
        print(f"{name}: {1e3 * seconds:.2f} ms, {per_joule / 1e12:.1f} TOPS/W, {millijoules:.2f} mJ")
    for line in cost.not_modelled:
        print(f"ours leaves out {line}")


if __name__ == "__main__":
    main()
