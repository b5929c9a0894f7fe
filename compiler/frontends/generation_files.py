"""The file of a model that says how its texts begin, end and are chosen."""

from __future__ import annotations

from typing import Any

from tilewright.runtime.tasks.language.generation_settings import FILE, written


def generation_files(model: Any) -> dict[str, bytes]:
    """The generation_config.json of a model of transformers, by its name; none for one that makes no texts."""
    config, can_generate = getattr(model, "generation_config", None), getattr(model, "can_generate", None)
    if config is None or not callable(can_generate) or not can_generate():
        return {}
    return {FILE: written(config)}
