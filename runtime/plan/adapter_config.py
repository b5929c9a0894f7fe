"""The configuration of an adapter as the library peft saves it: what kind it is, and the scale of each module's.

What would change the sum W x + scale * B A x is refused by its name.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilewright.targets.errors import InputError
from tilewright.targets.paths import read_text, shown_path
from tilewright.targets.quantity import is_finite
from tilewright.targets.shown import shown

CONFIG = "adapter_config.json"
LARGEST_CONFIG = 2**20  # bytes
OF_TRAINING = {
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config", "exclude_modules",
    "fan_in_fan_out", "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout",
    "lora_ga_config", "megatron_config", "megatron_core", "modules_to_save", "peft_version", "qalora_group_size",
    "revision", "runtime_config", "target_modules", "task_type",
}  # fmt: skip
"""Keys that say how an adapter was trained, or where; what it computes is in the tensors."""
READ = {"peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "bias", "init_lora_weights"}
KEPT_BASE = (True, False, None, "gaussian", "eva", "orthogonal")
"""Ways to begin that leave the base's weights as they are; others, such as pissa, train beside changed ones."""
REFUSED = {"use_dora": "DoRA", "lora_bias": "a bias of LoRA", "trainable_token_indices": "an adapter of single tokens"}
"""Keys of what is not supported, in the field's words; of all others the key is named."""
MOST_WILDCARDS, LONGEST_PATTERN = 3, 200


@dataclass(frozen=True)
class AdapterConfig:
    """Content of an adapter's configuration, of a kind that is supported."""

    content: dict[str, Any]

    @property
    def base(self) -> str | None:
        """Name or path of the model that it was trained on, where it says so."""
        base = self.content.get("base_model_name_or_path")
        return base[:LONGEST_PATTERN] if isinstance(base, str) else None

    def rank_and_alpha(self, module: str) -> tuple[int, float]:
        """Rank and alpha of a module. Raises ``InputError`` for what is no number."""
        rank = self._of_pattern("rank_pattern", module, self.content.get("r", 8))
        alpha = self._of_pattern("alpha_pattern", module, self.content.get("lora_alpha", 8))
        if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank < 2**31:
            raise InputError(f"the adapter's rank of {shown(module)} is {shown(rank)}, not a whole number from 1")
        if not is_finite(alpha):
            raise InputError(f"the adapter's alpha of {shown(module)} is {shown(alpha)}, not a number")
        return rank, float(alpha)

    def scale(self, rank: int, alpha: float) -> float:
        """Factor of B A x: alpha / rank, or alpha / sqrt(rank) of rank-stabilised LoRA (Kalajdzievski 2023)."""
        return alpha / (math.sqrt(rank) if self.content.get("use_rslora") else rank)

    def _of_pattern(self, key: str, module: str, otherwise: Any) -> Any:
        """Value of the first pattern that the end of a module's name fits, as peft finds it."""
        patterns = self.content.get(key) or {}
        if not isinstance(patterns, dict):
            raise InputError(f"the adapter's {key} is {shown(patterns)}, not a mapping from names to numbers")
        for pattern, value in patterns.items():
            if re.match(rf"(.*\.)?({_checked(key, pattern)})$", module):
                return value
        return otherwise


def read_config(folder: Path) -> AdapterConfig:
    """The configuration in an adapter's folder. Raises ``InputError`` for a kind that is not supported."""
    path = folder / CONFIG
    text = read_text(path, "configuration of an adapter", LARGEST_CONFIG)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shown_path(path)} is not readable JSON") from error
    if not isinstance(content, dict):
        raise InputError(f"{shown_path(path)} is not a JSON object")
    problem = _problem(content)
    if problem is not None:
        raise InputError(f"{shown_path(path)}: {problem}")
    return AdapterConfig(content)


def _problem(content: dict[str, Any]) -> str | None:
    """Sentence on the first thing in a configuration that is not supported; None if all is."""
    if content.get("peft_type") != "LORA":
        return f"peft_type is {shown(content.get('peft_type'))}; only LORA is supported"
    if content.get("bias", "none") != "none":
        return f"bias is {shown(content['bias'])}; only none is supported"
    begun = content.get("init_lora_weights", True)
    if not any(begun is one or begun == one for one in KEPT_BASE if isinstance(begun, str | bool | None)):
        known = ", ".join(one for one in KEPT_BASE if isinstance(one, str))
        return (
            f"init_lora_weights is {shown(begun)}, which changes the base's weights or is unknown; allowed: true, "
            f"false, {known}"
        )
    if content.get("use_rslora") not in (True, False, None):
        return f"use_rslora is {shown(content['use_rslora'])}; allowed: true, false"
    for key, value in content.items():
        if key not in OF_TRAINING and key not in READ and value not in (None, False, "", [], {}):
            what = f"{REFUSED[key]} ({key})" if key in REFUSED else f"{shown(key)}, which is {shown(value)},"
            return f"{what} is not supported"
    return None


def _checked(key: str, pattern: str) -> str:
    """A pattern that is safe to match: names, dots, and a few wildcards; a stranger's others could run for ever."""
    rest, wildcards = re.subn(r"\.[*+]|\\d\+?|\[0-9\]\+?", "", pattern)
    is_plain = re.fullmatch(r"\^?(?:[A-Za-z0-9_.-]|\\\.)*\$?", rest) is not None
    if not is_plain or wildcards > MOST_WILDCARDS or len(pattern) > LONGEST_PATTERN:
        raise InputError(
            f"{key} has the pattern {shown(pattern)}; allowed: names with up to {MOST_WILDCARDS} wildcards, .* and \\d+"
        )
    return pattern
