"""Folding of batch norms behind a convolution or a linear layer into its column scale.

In eval mode a batch norm multiplies each channel by γ / sqrt(σ² + ε) and adds an offset. A tile's columns are
programmed relative to their largest weight, and the digital scale behind the ADC restores it: scaling the weights of a
column by a number changes that scale and (but for a sign) not one conductance. So the factor costs nothing, and the
offset joins the bias.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from tilewright.compiler.network.convolutions import CONVOLUTIONS, why_digital
from tilewright.compiler.network.network import Network
from tilewright.compiler.network.rewriting import Rewriter, arguments_of, shape_of
from tilewright.runtime.plan.decisions import Figure

aten = torch.ops.aten
TENSORS = ("weight", "bias", "running_mean", "running_var")


@torch.no_grad()
def fold_batch_norms(network: Network) -> None:
    """Fold every batch norm that can be; the others stay digital, with the reason."""
    for node in network.calls_of(aten.batch_norm.default):
        arguments = arguments_of(node)
        tensor = arguments["weight"] or arguments["running_mean"]
        subject = _called(network, str(getattr(tensor, "target", node.name)))
        reason = _why_not(network, arguments)
        if reason is None:
            choice = f"folded into {_called(network, str(arguments_of(arguments['input'])['weight'].target))}"
            reason = (
                "its factor scales whole columns, which the scale behind the ADC does anyway; its offset joins the bias"
            )
            _fold(network, node, arguments)
        else:
            choice = "digital"
            for key in TENSORS:
                network.stays_digital(arguments[key], "normalisation", f"batch norm that is not folded: {reason}")
        channels = int((shape_of(node) or (0, 0))[1])
        figure = Figure(name="channels", value=channels, unit="channel")
        network.decide("fold_batch_norms", subject, choice, reason, figure)
    network.tidy()


def _why_not(network: Network, arguments: dict[str, Any]) -> str | None:
    """Reason why a batch norm cannot fold; None if it can."""
    product = arguments["input"]
    if arguments["training"]:
        return "it uses the statistics of the batch"
    if any(arguments[key] is not None and network.tensor(arguments[key]) is None for key in TENSORS):
        return "its parameters are computed"
    if arguments["running_mean"] is None:
        return "it has no stored statistics"
    if not isinstance(product, fx.Node) or product.target not in (*CONVOLUTIONS, aten.linear.default):
        return "no convolution or linear layer feeds it"
    if product.target == aten.linear.default and len(shape_of(product) or ()) != 2:
        return "its channels are not the columns of the layer before it"
    if len(product.users) > 1:
        return "the output of the layer before it is used elsewhere too"
    weight, bias = arguments_of(product)["weight"], arguments_of(product)["bias"]
    if network.tensor(weight) is None or (bias is not None and network.tensor(bias) is None):
        return "the weights of the layer before it are computed"
    if len(weight.users) > 1:
        return "the layer before it has other uses, which it does not scale"
    if product.target in CONVOLUTIONS and why_digital(network, product) is not None:
        return "the convolution before it stays digital"
    return None


def _fold(network: Network, node: fx.Node, arguments: dict[str, Any]) -> None:
    product: fx.Node = arguments["input"]
    inner = arguments_of(product)
    gamma, beta, mean, variance = (network.tensor(arguments[key]) for key in TENSORS)
    weight, bias = network.tensor(inner["weight"]), network.tensor(inner["bias"])
    assert weight is not None and mean is not None and variance is not None
    factor = torch.rsqrt(variance.double() + arguments["eps"])
    if gamma is not None:
        factor = factor * gamma
    offset = ((bias if bias is not None else 0.0) - mean.double()) * factor
    if beta is not None:
        offset = offset + beta
    rewriter = Rewriter(network, product)
    scaled = (weight * factor.view(-1, *[1] * (weight.dim() - 1))).to(weight.dtype)
    sources = {key: (str(arguments[key].target),) if arguments[key] is not None else () for key in TENSORS}
    path = str(inner["weight"].target)
    bias_path = (str(inner["bias"].target),) if bias is not None else ()
    wanted = bias_path[0] if bias_path else path.removesuffix(".weight") + ".bias"
    factors = sources["weight"] + sources["running_var"]
    offsets = bias_path + sources["bias"] + factors + sources["running_mean"]
    new_weight = rewriter.constant(path, scaled, (path, *factors))
    new_bias = rewriter.constant(wanted, offset.to(weight.dtype), offsets)
    product.args = tuple({**inner, "weight": new_weight, "bias": new_bias}.values())
    product.kwargs = {}
    network.replace(node, product)


def _called(network: Network, path: str) -> str:
    """Name for people of the module that a tensor belongs to."""
    return network.source_names.get(path, path).removesuffix(".weight").removesuffix(".running_mean")
