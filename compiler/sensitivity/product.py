"""Error of a layer's own product on its target, with the inputs that it really has: the MVM error."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.observing.watching import Watcher, read_vectors, watching
from tilewright.compiler.sensitivity.criteria import Criterion
from tilewright.runtime.execution.session import Session
from tilewright.runtime.plan.names import bias_key, layer_path, weight_key
from tilewright.runtime.plan.plan import Plan
from tilewright.runtime.plan.records import LayerRecord
from tilewright.runtime.units.full_precision import DigitalLinear


def exact_layer(plan: Plan, layer: LayerRecord) -> DigitalLinear:
    """Module of a layer in full precision."""
    bias = plan.tensors[bias_key(layer.name)].float() if layer.has_bias else None
    return DigitalLinear(plan.tensors[weight_key(layer.name)].float(), bias)


class ProductError(Criterion):
    """Error ‖ŷ - y‖ / ‖y‖ of the layer's own products, padding and all; the rest of the network is not asked."""

    name, unit = "product-error", "‖ŷ-y‖/‖y‖"
    meaning = "error of the layer's own products on its target (MVM error), with the network's inputs"

    @cached_property
    def seen(self) -> dict[tuple[str, int], list[Tensor]]:
        """Inputs of every use [rows, in], from one run of the digital reference."""
        found: dict[tuple[str, int], list[Tensor]] = {}
        reference = Session(self.setting.plan, ideal=True)

        def see(name: str, arguments: tuple[Any, ...]) -> None:
            use = arguments[1] if len(arguments) > 1 else 0
            found.setdefault((name, use), []).append(read_vectors(arguments))

        layers = self.setting.plan.document.layers
        watchers: dict[str, Watcher] = {layer_path(layer.name): partial(see, layer.name) for layer in layers}
        with watching(reference.module, watchers):
            for batch in self.setting.samples().batches:
                reference.run(batch.inputs, samples=batch.numbers)
        return found

    def on_chip(self, layer: LayerRecord, repeat: int) -> float:
        """Error of the products on that chip."""
        module, exact = self.setting.layer_alone(layer, repeat), exact_layer(self.setting.plan, layer)
        wrong = size = 0.0
        for use in range(len(layer.uses)):
            x = torch.cat(self.seen.get((layer.name, use), [torch.zeros(0, layer.inputs)]))
            y = exact(x)
            wrong += float((module(x, use) - y).double().square().sum())
            size += float(y.double().square().sum())
        return (wrong / size) ** 0.5 if size else 0.0
