"""Routing of a mixture of experts: which products choose the vectors of others, and how many they choose of all."""

from __future__ import annotations

import torch
from torch import fx

from tilewright.compiler.network.chosen_linear import CHOSEN_LINEAR
from tilewright.compiler.network.network import Network

aten = torch.ops.aten
ROUTES = "its product decides which experts a vector goes to, and a wrong choice is no small error: it stays exact"


def products_of_routers(network: Network) -> set[fx.Node]:
    """Products whose results choose vectors for others, such as the gate of a mixture of experts."""
    found: set[fx.Node] = set()
    seen: set[fx.Node] = set()
    waiting = [_chosen(node) for node in network.calls_of(CHOSEN_LINEAR)]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.target is aten.linear.default:
            found.add(node)
        elif node.target is not CHOSEN_LINEAR:
            waiting += node.all_input_nodes
    return found


def expected_share(product: fx.Node) -> float:
    """Share of the vectors that a product of chosen ones reads if all experts are chosen as often; 1 if it reads all.

    A router chooses the largest of several: their numbers are compared with each expert's.
    """
    if product.target is not CHOSEN_LINEAR:
        return 1.0
    here = _chosen(product)
    while here.target is not aten.eq.Scalar:
        if len(here.all_input_nodes) != 1:
            return 1.0
        (here,) = here.all_input_nodes
    (index,) = here.all_input_nodes
    experts = {reader.args[1] for reader in index.users if reader.target is aten.eq.Scalar}
    chosen = index.meta["val"].shape[-1]
    return min(1.0, int(chosen) / len(experts))


def _chosen(product: fx.Node) -> fx.Node:
    chosen = product.args[3]
    assert isinstance(chosen, fx.Node)
    return chosen
