"""Run the sample inputs once, and keep what the passes that fix scales and ranges need to know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from tilewright.compiler.network.compilation import Compilation
from tilewright.compiler.observing.observation import Observed
from tilewright.runtime.plan.names import layer_path, matmul_path

KEPT_ROWS = 256
"""Input vectors kept for each use of a layer."""
KEPT_VALUES = 2**16
"""Values kept for each operand of a matmul, of all its heads together."""

Watcher = Callable[[tuple[Any, ...]], None]


@torch.inference_mode()
def observe(compilation: Compilation) -> None:
    """Fill ``layer_inputs`` by (layer, use) and ``matmul_operands`` by (matmul, 0 for left or 1 for right)."""
    samples = compilation.traced.calibration_inputs
    for name, layer in compilation.layers.items():
        for use in range(len(layer.uses)):
            compilation.layer_inputs[name, use] = Observed(len(samples), KEPT_ROWS)
    for name in compilation.matmuls:
        for side in (0, 1):
            wanted = KEPT_VALUES // compilation.heads.get(name, 1)
            compilation.matmul_operands[name, side] = Observed(len(samples), wanted)

    def watch_layer(name: str) -> Watcher:
        def see(arguments: tuple[Tensor, int]) -> None:
            x, use = arguments
            compilation.layer_inputs[name, use].see(x.reshape(-1, x.shape[-1]))

        return see

    def watch_matmul(name: str) -> Watcher:
        def see(arguments: tuple[Tensor, Tensor]) -> None:
            for side, operand in enumerate(arguments):
                a_head = operand.movedim(1, -1) if name in compilation.heads else operand.unsqueeze(-1)
                compilation.matmul_operands[name, side].see(a_head.reshape(-1, a_head.shape[-1]))

        return see

    watchers = {layer_path(name): watch_layer(name) for name in compilation.layers}
    watchers |= {matmul_path(name): watch_matmul(name) for name in compilation.matmuls}
    with watching(compilation.graph, watchers):
        for sample in samples:
            compilation.graph(*sample.values())


@contextmanager
def watching(graph: nn.Module, watchers: dict[str, Watcher]) -> Iterator[None]:
    """Call a watcher with the arguments, before the module at its path runs."""
    handles = []
    for path, see in watchers.items():

        def before(module: nn.Module, arguments: tuple[Any, ...], see: Watcher = see) -> None:
            see(arguments)

        handles.append(graph.get_submodule(path).register_forward_pre_hook(before))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
