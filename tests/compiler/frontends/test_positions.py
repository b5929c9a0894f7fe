"""Texts that are longer than a model's table of positions are refused, whatever stands before the table's first row."""

import pytest
import torch
from transformers import (
    BartConfig,
    BartModel,
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MPNetConfig,
    MPNetModel,
    OPTConfig,
    OPTModel,
    RobertaConfig,
    RobertaModel,
)

import tilewright
from tilewright.compiler.frontends.huggingface_inputs import longest_text, position_rows
from tilewright.targets.errors import InputError

SMALL = {"vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
WIDE = {**SMALL, "intermediate_size": 64}
PARTS = {f"{side}_{what}": 2 for side in ("encoder", "decoder") for what in ("layers", "attention_heads")}
MODELS = {
    "BERT": (BertModel, BertConfig(max_position_embeddings=24, **WIDE), 24),
    "RoBERTa": (RobertaModel, RobertaConfig(max_position_embeddings=26, **WIDE), 24),
    "MPNet": (MPNetModel, MPNetConfig(max_position_embeddings=26, **WIDE), 24),
    "GPT-2": (GPT2LMHeadModel, GPT2Config(vocab_size=128, n_positions=24, n_embd=32, n_layer=1, n_head=2), 24),
    "OPT": (OPTModel, OPTConfig(max_position_embeddings=24, ffn_dim=64, word_embed_proj_dim=32, **SMALL), 24),
    "BART": (BartModel, BartConfig(vocab_size=128, d_model=32, max_position_embeddings=24, **PARTS), 24),
}


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_the_table(name):
    kind, config, rows = MODELS[name]
    model = kind(config).eval()
    assert position_rows(model) == longest_text(model) == rows
    model(input_ids=torch.full((1, rows), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, rows + 1), 5))


def test_a_model_without_a_table_has_what_its_config_says():
    model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=24, **WIDE)).eval()
    assert position_rows(model) is None
    assert longest_text(model) == 24
    model(input_ids=torch.full((1, 25), 5))


@pytest.mark.parametrize("name", ["RoBERTa", "GPT-2"])
def test_a_plan_refuses_longer_texts(name, tmp_path):
    kind, config, rows = MODELS[name]
    torch.manual_seed(0)
    model = kind(config).eval()
    model.save_pretrained(tmp_path)
    session = tilewright.Session(tilewright.compile(tmp_path), ideal=True)
    ids = torch.full((1, rows + 1), 5)
    with pytest.raises(InputError, match=f"sequence.* {rows + 1}"):
        session(input_ids=ids, attention_mask=torch.ones_like(ids))
    found = session(input_ids=ids[:, 1:], attention_mask=torch.ones_like(ids[:, 1:]))
    with torch.inference_mode():
        wanted = model(input_ids=ids[:, 1:])[0]
    assert torch.allclose(next(iter(found.values())), wanted, atol=1e-5)
