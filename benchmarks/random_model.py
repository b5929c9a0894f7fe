"""A HuggingFace folder of real size with random weights, written shard by shard: for measurements without a network.

    python benchmarks/random_model.py tinyllama FOLDER [--dtype bfloat16]

Matrices are N(0, 0.02), norms' factors 1, everything else 0, as transformers initialises most models.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

LLAMA = {"vocab_size": 128256, "max_position_embeddings": 131072, "num_key_value_heads": 8, "num_attention_heads": 32}
CONFIGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "minilm": (
        "BertModel", "BertConfig", {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536},
    ),
    "bert-base": ("BertModel", "BertConfig", {}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {}),
    "bert-tiny": (
        "BertModel", "BertConfig",
        {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
    ),
    "bert-large": (
        "BertModel", "BertConfig",
        {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    ),
    "tinyllama": (
        "LlamaForCausalLM", "LlamaConfig",
        {"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_key_value_heads": 4},
    ),
    "llama-3b": (
        "LlamaForCausalLM", "LlamaConfig",
        {**LLAMA, "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 28, "num_attention_heads": 24,
         "tie_word_embeddings": True},
    ),
    "llama-8b": (
        "LlamaForCausalLM", "LlamaConfig",
        {**LLAMA, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32},
    ),
    "llama-70b": (
        "LlamaForCausalLM", "LlamaConfig",
        {**LLAMA, "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64},
    ),
    "llama-405b": (
        "LlamaForCausalLM", "LlamaConfig",
        {**LLAMA, "hidden_size": 16384, "intermediate_size": 53248, "num_hidden_layers": 126,
         "num_attention_heads": 128},
    ),
}  # fmt: skip
"""Name -> class of the model, class of its config, what differs from the class's own config."""
SHARD = 2**29  # bytes


def write_config(name: str, folder: Path) -> None:
    """Write config.json alone."""
    architecture, config, options = CONFIGS[name]
    getattr(transformers, config)(**options, architectures=[architecture]).save_pretrained(folder)


def write_model(name: str, folder: Path, dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
    """Write config and weights. Memory: one shard."""
    write_config(name, folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = getattr(transformers, CONFIGS[name][0])(config)
    generator = torch.Generator().manual_seed(seed)
    shards: list[dict[str, torch.Tensor]] = [{}]
    places: dict[str, str] = {}
    size = total = 0

    def write() -> None:
        file = f"model-{len(places):05}.safetensors"
        save_file(shards[-1], folder / file, metadata={"format": "pt"})
        places.update(dict.fromkeys(shards[-1], file))
        shards.append({})
        del shards[0]

    for key, shape in ((key, value.shape) for key, value in model.named_parameters()):
        if len(shape) > 1:
            value = torch.empty(shape).normal_(0, 0.02, generator=generator)
        else:
            value = torch.zeros(shape) if key.endswith("bias") else torch.ones(shape)
        shards[-1][key] = value.to(dtype)
        size += value.numel() * dtype.itemsize
        total += value.numel() * dtype.itemsize
        if size > SHARD:
            write()
            size = 0
    if shards[-1]:
        write()
    if len(set(places.values())) == 1:
        (folder / next(iter(places.values()))).rename(folder / "model.safetensors")
        return
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def main() -> None:
    """Write one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=CONFIGS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    options = parser.parse_args()
    write_model(options.name, options.folder, getattr(torch, options.dtype))


if __name__ == "__main__":
    main()
