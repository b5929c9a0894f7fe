"""Chips that a language model takes and costs of a run, from its config alone: no weights, any size.

    python examples/size_of_a_llama.py [--hidden 4096] [--layers 4,8,16,32] [--at 128,2048]

The defaults are of Llama-3-8B's width; for another model give compile its folder, config.json or hub name. Ten seconds
a size.
"""

from __future__ import annotations

import argparse
import tempfile

from transformers import LlamaConfig

import tilewright


def mapped(hidden: int, layers: int) -> tilewright.Plan:
    """A plan of a Llama of that width and depth. Nothing is read but the config."""
    config = LlamaConfig(
        hidden_size=hidden,
        intermediate_size=hidden * 7 // 2,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 128,
        num_key_value_heads=max(1, hidden // 512),
        vocab_size=128256,
        architectures=["LlamaForCausalLM"],
    )
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        return tilewright.compile(folder, config_only=True, name=f"{layers} layers of {hidden}")


def main() -> None:
    """Map, and say what it comes to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, default=4096)
    parser.add_argument("--layers", default="4,8,16,32")
    parser.add_argument("--at", default="128,2048")
    options = parser.parse_args()
    for layers in map(int, options.layers.split(",")):
        plan = mapped(options.hidden, layers)
        placement, parameters = plan.document.placement, plan.document.model.parameters
        print(f"{parameters / 1e9:.2f} billion parameters: {placement.tiles:,} tiles on {placement.chips} chips")
        for length in map(int, options.at.split(",")):
            cost = tilewright.estimate_cost(plan, {"sequence": length})
            share = cost.attention_nj / cost.energy_nj
            print(f"  {length} tokens: {cost.energy_nj * 1e-6:.3g} mJ, {share:.0%} of it attention's products")


if __name__ == "__main__":
    main()
