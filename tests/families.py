"""The transformer families that tilewright is tested on, as small models with random weights.

``docs/write_families.py`` writes what was seen of each into docs/families.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEXT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 200,
    "max_position_embeddings": 64,
}
VISION = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "image_size": 32,
    "patch_size": 8,
}
LLAMA = {**TEXT, "num_key_value_heads": 2}
ENCODER_DECODER = {
    "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "vocab_size": 200,
}  # fmt: skip
BART = {**ENCODER_DECODER, "max_position_embeddings": 64}
WHISPER = {
    **ENCODER_DECODER, "max_source_positions": 40, "max_target_positions": 64, "num_mel_bins": 16, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "suppress_tokens": None,
    "begin_suppress_tokens": None,
}  # fmt: skip
SOUND = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128, "conv_dim": [16, 16],
    "conv_stride": [5, 2], "conv_kernel": [10, 3], "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
    "vocab_size": 32,
}  # fmt: skip
T5 = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "vocab_size": 200}
MOBILEBERT = {
    **TEXT, "embedding_size": 32, "intra_bottleneck_size": 32, "num_feedforward_networks": 2,
}  # fmt: skip
EXPERTS = {
    **LLAMA, "num_hidden_layers": 1, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
}  # fmt: skip
FEW_TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
MIXTRAL = {**LLAMA, **FEW_TOKENS, "num_hidden_layers": 1, "num_local_experts": 4, "num_experts_per_tok": 2}
DEEPSEEK = {
    **LLAMA, "num_key_value_heads": 4, "moe_intermediate_size": 32, "n_routed_experts": 4, "n_shared_experts": 1,
    "num_experts_per_tok": 2, "first_k_dense_replace": 1, "kv_lora_rank": 16, "q_lora_rank": 24, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16, "v_head_dim": 16, "n_group": 2, "topk_group": 1,
}  # fmt: skip
"""Latent attention; the first layer is dense, the second has experts in two groups, of which one is chosen."""
SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}

FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "BERT": ("BertModel", "BertConfig", TEXT),
    "BERT, sequence classification": ("BertForSequenceClassification", "BertConfig", TEXT),
    "BERT, token classification": ("BertForTokenClassification", "BertConfig", TEXT),
    "BERT, question answering": ("BertForQuestionAnswering", "BertConfig", TEXT),
    "BERT, masked LM": ("BertForMaskedLM", "BertConfig", TEXT),
    "DistilBERT": (
        "DistilBertModel",
        "DistilBertConfig",
        {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "vocab_size": 200, "max_position_embeddings": 64},
    ),
    "ALBERT": ("AlbertModel", "AlbertConfig", {**TEXT, "embedding_size": 32, "num_hidden_layers": 4}),
    "RoBERTa": ("RobertaForSequenceClassification", "RobertaConfig", TEXT),
    "ELECTRA": ("ElectraModel", "ElectraConfig", {**TEXT, "embedding_size": 32}),
    "DeBERTa-v2": (
        "DebertaV2Model",
        "DebertaV2Config",
        {**TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    ),
    "MPNet": ("MPNetModel", "MPNetConfig", TEXT),
    "MobileBERT": ("MobileBertModel", "MobileBertConfig", MOBILEBERT),
    "ModernBERT": ("ModernBertModel", "ModernBertConfig", {**TEXT, **SPECIAL}),
    "GPT-2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 200, "n_positions": 64},
    ),
    "Llama": ("LlamaForCausalLM", "LlamaConfig", LLAMA),
    "Qwen2": ("Qwen2ForCausalLM", "Qwen2Config", LLAMA),
    "Qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {**LLAMA, "head_dim": 16}),
    "Mistral": ("MistralForCausalLM", "MistralConfig", {**LLAMA, "sliding_window": 8}),
    "OPT": (
        "OPTForCausalLM",
        "OPTConfig",
        {
            "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 128, "vocab_size": 200,
            "max_position_embeddings": 64, "word_embed_proj_dim": 64,
        },
    ),
    "Mixtral": ("MixtralForCausalLM", "MixtralConfig", MIXTRAL),
    "PhiMoE": ("PhimoeForCausalLM", "PhimoeConfig", MIXTRAL),
    "Qwen2-MoE": ("Qwen2MoeForCausalLM", "Qwen2MoeConfig", {**EXPERTS, "shared_expert_intermediate_size": 64}),
    "Qwen3-MoE": ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", {**EXPERTS, "head_dim": 16}),
    "OLMoE": ("OlmoeForCausalLM", "OlmoeConfig", {**EXPERTS, **FEW_TOKENS}),
    "DeepSeek-V2": ("DeepseekV2ForCausalLM", "DeepseekV2Config", DEEPSEEK),
    "DeepSeek-V3": ("DeepseekV3ForCausalLM", "DeepseekV3Config", DEEPSEEK),
    "Llama 4": ("Llama4ForCausalLM", "Llama4TextConfig", {
        **LLAMA, "head_dim": 16, "num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 128,
        "interleave_moe_layer_step": 2, **FEW_TOKENS,
    }),
    "T5": ("T5ForConditionalGeneration", "T5Config", {**T5, "decoder_start_token_id": 0}),
    "T5 encoder": ("T5EncoderModel", "T5Config", T5),
    "BART": ("BartForConditionalGeneration", "BartConfig", BART),
    "ViT": ("ViTForImageClassification", "ViTConfig", VISION),
    "DeiT": ("DeiTForImageClassification", "DeiTConfig", VISION),
    "CLIP": (
        "CLIPModel",
        "CLIPConfig",
        {"text_config": {**TEXT, "projection_dim": 32}, "vision_config": {**VISION, "projection_dim": 32},
         "projection_dim": 32},
    ),
    "Whisper": ("WhisperForConditionalGeneration", "WhisperConfig", WHISPER),
    "Whisper encoder": ("WhisperEncoder", "WhisperConfig", WHISPER),
    "Whisper, audio classification": ("WhisperForAudioClassification", "WhisperConfig", WHISPER),
    "Wav2Vec2": ("Wav2Vec2Model", "Wav2Vec2Config", SOUND),
    "Gemma": ("GemmaForCausalLM", "GemmaConfig", {**LLAMA, "head_dim": 16}),
    "Phi": ("PhiForCausalLM", "PhiConfig", TEXT),
    "Swin": (
        "SwinModel",
        "SwinConfig",
        {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4},
    ),
    "ResNet": (
        "ResNetForImageClassification",
        "ResNetConfig",
        {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1]},
    ),
    "ConvNeXT": (
        "ConvNextForImageClassification",
        "ConvNextConfig",
        {"hidden_sizes": [16, 32], "depths": [1, 1], "num_stages": 2, "image_size": 32},
    ),
    "MobileNetV2": (
        "MobileNetV2ForImageClassification", "MobileNetV2Config", {"image_size": 32, "depth_multiplier": 0.35},
    ),
    "EfficientNet": (
        "EfficientNetForImageClassification",
        "EfficientNetConfig",
        {"image_size": 32, "width_coefficient": 0.3, "depth_coefficient": 0.3, "hidden_dim": 384},
    ),
    "BEiT": ("BeitForImageClassification", "BeitConfig", VISION),
    "DINOv2": ("Dinov2Model", "Dinov2Config", {**VISION, "mlp_ratio": 2}),
    "SegFormer": (
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        {"hidden_sizes": [16, 32, 32, 64], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 4],
         "decoder_hidden_size": 32, "initializer_range": 0.1},
    ),
    "HuBERT": ("HubertModel", "HubertConfig", SOUND),
    "SpeechT5": ("SpeechT5ForSpeechToText", "SpeechT5Config", {
        **SOUND, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
        "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "vocab_size": 200,
    }),
    "XLNet": ("XLNetModel", "XLNetConfig", {
        "d_model": 64, "n_layer": 2, "n_head": 4, "d_inner": 128, "vocab_size": 200,
    }),
    "Falcon with ALiBi": ("FalconForCausalLM", "FalconConfig", {
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 200, "alibi": True,
    }),
    "Mamba-2": ("Mamba2ForCausalLM", "Mamba2Config", {
        "hidden_size": 64, "num_hidden_layers": 2, "state_size": 8, "vocab_size": 200, "num_heads": 8, "head_dim": 16,
        "n_groups": 1,
    }),
    "PatchTST": ("PatchTSTForPrediction", "PatchTSTConfig", {
        "num_input_channels": 2, "context_length": 32, "patch_length": 8, "patch_stride": 8, "d_model": 64,
        "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 128, "prediction_length": 8,
    }),
}  # fmt: skip
SIZES = ((1, 4), (1, 13), (3, 4), (3, 13))
"""Batch and length."""


def build(family: str, **changes: Any) -> PreTrainedModel:
    """The small model of a family, in eval mode. changes: of its config."""
    import transformers
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    name, config, settings = FAMILIES[family]
    torch.manual_seed(0)
    architecture = WhisperEncoder if name == "WhisperEncoder" else getattr(transformers, name)
    model = architecture(getattr(transformers, config)(**settings | changes)).eval()
    for parameter in model.parameters():  # biases of zero and scales of one would hide that they are forgotten
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def inputs_of(document, batch: int, length: int) -> dict[str, torch.Tensor]:
    """Random inputs for a plan: every row but the first is padded at its end."""
    generator = torch.Generator().manual_seed(1000 * batch + length)
    named = {
        "batch": batch,
        "sequence": length,
        "decoder_sequence": length + 2,
        "size_2": 64,
        "size_3": 32 + 8 * length,
    }
    made = {}
    for record in document.inputs:
        shape = [named[size] if isinstance(size, str) else size for size in record.shape]
        if record.name == "input_values":
            shape[1] = 3200 + 160 * length
        if record.dtype == "float32":
            made[record.name] = torch.randn(shape, generator=generator)
        elif "mask" in record.name:
            made[record.name] = torch.ones(shape, dtype=torch.long)
            for row in range(1, batch):
                made[record.name][row, max(1, shape[1] - row) :] = 0
        else:
            made[record.name] = torch.randint(3, 200, shape, generator=generator)
        if record.name == "token_type_ids":
            made[record.name].zero_()
    return made


@torch.inference_mode()
def largest_difference(model, plan) -> float:
    """The worst of all outputs and sizes: max |plan - model| / max |model|."""
    import tilewright

    session = tilewright.Session(plan, ideal=True)
    worst = 0.0
    for batch, length in SIZES:
        inputs = inputs_of(plan.document, batch, length)
        expected = model(**inputs)
        for name, value in session(inputs).items():
            exact = expected
            for key in name.split("."):
                exact = exact[int(key)] if key.isdigit() else getattr(exact, key)
            assert value.shape == exact.shape, (name, value.shape, exact.shape)
            assert exact.isfinite().all(), f"{name} of the model itself is not finite"
            assert value.isfinite().all(), f"{name} is not finite"
            worst = max(worst, ((value - exact).abs().max() / exact.abs().max()).item())
    return worst
