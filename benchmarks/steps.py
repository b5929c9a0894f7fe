"""One step of what runs in sequence: a token of generated text, a step of an LSTM, against torch's float32 step.

    OMP_NUM_THREADS=1 taskset -c 1 python benchmarks/steps.py [--model smollm2 --plan plan] [--tokens 32]

Without a model, a Llama of SmolLM2-135M's shape with random weights is compiled for pcm-512-dynamic and pcm-512. Calls
are interleaved; the ratio is of the fastest ones. A token's time is that of a long text less that of its first token.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
from timing import compared, interleaved
from torch import nn

import tilewright

SHAPE = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
    "num_attention_heads": 9, "num_key_value_heads": 3, "tie_word_embeddings": True, "max_position_embeddings": 2048,
}  # fmt: skip
PROMPT = torch.randint(3, 40000, (1, 20), generator=torch.Generator().manual_seed(1))


def of_text(network: Any, plan: tilewright.Plan, tokens: int, runs: int) -> dict[str, Any]:
    """Seconds of a token after the first, of the network with its cache and of a chip."""
    on_chip = tilewright.AnalogModelForCausalLM.from_plan(plan, time="1d")

    def text(model: Any, count: int) -> Callable[[], Any]:
        how = {"do_sample": False, "eos_token_id": None, "pad_token_id": 2, "max_new_tokens": count}
        return lambda: model.generate(PROMPT, **how)

    calls = {
        f"{name} {count}": text(model, count)
        for name, model in (("torch", network), ("chip", on_chip))
        for count in (1, tokens + 1)
    }
    seconds = interleaved(calls, runs)
    steps = {
        name: [(long - short) / tokens for long, short in zip(
            seconds[f"{name} {tokens + 1}"], seconds[f"{name} 1"], strict=True
        )]
        for name in ("torch", "chip")
    }  # fmt: skip
    return compared(steps, "torch")


def of_lstm(target: str, runs: int, steps: int = 100) -> dict[str, Any]:
    """Seconds of an LSTM over a sequence, of torch and of a chip."""
    torch.manual_seed(0)
    network, x = nn.LSTM(256, 512, batch_first=True).eval(), torch.randn(1, steps, 256)
    session = tilewright.Session(tilewright.compile(network, target, example_inputs=x)).advance_to("1d")
    calls = {"torch": lambda: network(x), "chip": lambda: session(x)}
    with torch.inference_mode():
        return compared(interleaved(calls, runs), "torch")


def main() -> None:
    """Measure, and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder of a causal language model, in place of random weights")
    parser.add_argument("--plan", help="its plan")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    found: dict[str, Any] = {"kernels": tilewright.doctor().to_json()["kernels"], "threads": torch.get_num_threads()}
    for target in ("pcm-512", "pcm-512-dynamic"):
        found[f"LSTM 256 to 512, 100 steps, {target}"] = of_lstm(target, options.runs)
    torch.manual_seed(0)
    if options.model is not None:
        network, plans = AutoModelForCausalLM.from_pretrained(options.model).eval(), {"plan": options.plan}
    else:
        network, plans = LlamaForCausalLM(LlamaConfig(**SHAPE)).eval(), {"pcm-512": None, "pcm-512-dynamic": None}
    examples = {"input_ids": PROMPT, "attention_mask": torch.ones_like(PROMPT)}
    for target, folder in plans.items():
        plan = tilewright.load(folder) if folder else tilewright.compile(network, target, example_inputs=examples)
        found[f"a token, {target}"] = of_text(network, plan, options.tokens, options.runs)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
