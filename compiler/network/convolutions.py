"""Convolutions in a graph, and which of them may go on tiles."""

from __future__ import annotations

import torch
from torch import fx

from tilewright.compiler.network.network import Network
from tilewright.compiler.network.rewriting import arguments_of, shape_of

aten = torch.ops.aten
CONVOLUTIONS = (
    aten.conv1d.default,
    aten.conv1d.padding,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv3d.default,
    aten.conv3d.padding,
    aten.convolution.default,
)
TRANSPOSED = (aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.conv_transpose3d.input)


def why_digital(network: Network, node: fx.Node) -> str | None:
    """Reason why a convolution stays on digital units; None if it may go on tiles."""
    arguments = arguments_of(node)
    weight, bias = network.tensor(arguments["weight"]), arguments["bias"]
    if weight is None or (bias is not None and network.tensor(bias) is None):
        return "its weights are computed, so they cannot stay in a crossbar"
    if node.target in TRANSPOSED or arguments.get("transposed"):
        return "a transposed convolution adds overlapping patches, which tiles do not"
    if arguments["groups"] > 1:
        groups, outputs = arguments["groups"], weight.shape[0] // arguments["groups"]
        kind = "depthwise" if weight.shape[1] == 1 else "grouped"
        return (
            f"{kind} convolution: as one matrix only 1/{groups} of its cells would hold weights; "
            f"as {groups} matrices of {weight[0].numel()} x {outputs}, tiles would be nearly empty"
        )
    if weight.dim() > 4:
        return "three-dimensional convolutions are not unfolded"
    if len(shape_of(arguments["input"]) or ()) != weight.dim():
        return "its input has no batch dimension"
    return None
