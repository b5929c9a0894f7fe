"""A small Llama with random weights and a tokenizer of its own."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

TEXTS = ["The chip drifts over time, and the plan is the product.", "Programming noise is drawn once.",
         "Weights are stored in devices; a digital unit is exact, and a tile is not."]  # fmt: skip
LONGEST = 64


def save_small_tokenizer(folder: Path, *, begins: bool = True) -> None:
    """A tokenizer of 320 tokens in a folder. begins: texts get the token of a beginning."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    if begins:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>").save_pretrained(folder)


def save_small_llama(folder: Path, *, begins: bool = True) -> Path:
    """A model and its tokenizer in a folder. begins: texts get the token of a beginning, as with Llama."""
    from transformers import LlamaConfig, LlamaForCausalLM

    save_small_tokenizer(folder, begins=begins)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=320, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=LONGEST, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).eval().save_pretrained(folder)
    return folder
