"""Caches of keys and values of transformers' decoders: a plan computes all positions at once, and has none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


def configs_with_cache(model: nn.Module) -> list[Any]:
    """Configs of a model's parts that ask for a cache; decoders within a model have their own."""
    configs = [getattr(part, "config", None) for part in model.modules()]
    return [config for config in configs if getattr(config, "use_cache", False)]


@contextmanager
def without_caches(model: nn.Module) -> Iterator[None]:
    """Run a model without a cache among its outputs; its configs are left as they were."""
    configs = configs_with_cache(model)
    for config in configs:
        config.use_cache = False
    try:
        yield
    finally:
        for config in configs:
            config.use_cache = True
