"""The passes, one file each, in running order."""

from __future__ import annotations

from tilewright.compiler.lowering.canonicalize import canonicalize
from tilewright.compiler.lowering.find_layers import find_layers
from tilewright.compiler.lowering.fold_batch_norms import fold_batch_norms
from tilewright.compiler.lowering.fold_channel_scales import fold_channel_scales
from tilewright.compiler.lowering.fuse_shared_inputs import fuse_shared_inputs
from tilewright.compiler.lowering.route_attention import route_attention
from tilewright.compiler.lowering.unfold_convolutions import unfold_convolutions
from tilewright.compiler.lowering.write_as_linear import write_as_linear
from tilewright.compiler.mapping.account_for_weights import account_for_weights
from tilewright.compiler.mapping.assign_targets import assign_targets
from tilewright.compiler.mapping.choose_programming import choose_programming
from tilewright.compiler.mapping.offer_targets import offer_targets
from tilewright.compiler.mapping.partition import partition
from tilewright.compiler.mapping.place import place
from tilewright.compiler.mapping.verify import verify
from tilewright.compiler.network.compilation import Traced
from tilewright.compiler.observing.calibrate import calibrate
from tilewright.compiler.observing.clip_weights import clip_weights
from tilewright.compiler.observing.locate_samples import locate_samples
from tilewright.compiler.observing.observe import observe
from tilewright.compiler.observing.rescale_channels import rescale_channels
from tilewright.compiler.pipeline import Pass

PASSES: list[tuple[str, Pass]] = [
    ("canonicalize", canonicalize),
    ("fold_batch_norms", fold_batch_norms),
    ("unfold_convolutions", unfold_convolutions),
    ("write_as_linear", write_as_linear),
    ("find_layers", find_layers),
    ("fuse_shared_inputs", fuse_shared_inputs),
    ("route_attention", route_attention),
    ("locate_samples", locate_samples),
    ("assign_targets", assign_targets),
    ("choose_programming", choose_programming),
    ("observe", observe),
    ("rescale_channels", rescale_channels),
    ("fold_channel_scales", fold_channel_scales),
    ("clip_weights", clip_weights),
    ("calibrate", calibrate),
    ("offer_targets", offer_targets),
    ("partition", partition),
    ("place", place),
    ("account_for_weights", account_for_weights),
    ("verify", verify),
]

NEEDING_WEIGHTS = {locate_samples, observe, rescale_channels, fold_channel_scales, clip_weights, calibrate}
"""Passes that run the network or look at numbers; a config alone goes without them."""


def passes_for(traced: Traced) -> list[tuple[str, Pass]]:
    """The passes that such a network takes."""
    return [(name, run) for name, run in PASSES if traced.has_weights or run not in NEEDING_WEIGHTS]
