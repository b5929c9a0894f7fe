"""Steps of compiling, in running order, with what each gives to the next: lowering, observing, mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from tilewright.compiler.lowering.canonicalize import canonicalize
from tilewright.compiler.lowering.find_layers import find_layers
from tilewright.compiler.lowering.find_products import find_products
from tilewright.compiler.lowering.fold_batch_norms import fold_batch_norms
from tilewright.compiler.lowering.fold_channel_scales import fold_channel_scales
from tilewright.compiler.lowering.fuse_shared_inputs import fuse_shared_inputs
from tilewright.compiler.lowering.parameters import parameters_of
from tilewright.compiler.lowering.unfold_convolutions import unfold_convolutions
from tilewright.compiler.lowering.write_as_linear import write_as_linear
from tilewright.compiler.mapping.account_for_weights import account_for_weights
from tilewright.compiler.mapping.assign_targets import Assigned, assign_targets
from tilewright.compiler.mapping.choose_programming import Wish, choose_programming, wanted_methods
from tilewright.compiler.mapping.fusion_decisions import fusion_decisions
from tilewright.compiler.mapping.options import Options, Seen, offer_targets
from tilewright.compiler.mapping.place import place
from tilewright.compiler.mapping.route_attention import Routed, matmul_record, route_attention
from tilewright.compiler.mapping.wishes import Wishes
from tilewright.compiler.network.layers import WeightLayer
from tilewright.compiler.network.network import Network
from tilewright.compiler.observing.locate_samples import SampleAxes, locate_samples
from tilewright.compiler.observing.observe import Observations, observe
from tilewright.compiler.observing.rescale_channels import ChannelScale, rescale_channels
from tilewright.compiler.pipeline import OnPass, Pipeline
from tilewright.compiler.verify_tiles import verify
from tilewright.runtime.chip.parallel import in_parallel
from tilewright.runtime.plan.decisions import Decision
from tilewright.runtime.plan.records import LayerRecord, MatmulRecord, Placement, UseRecord, WeightRecord
from tilewright.targets.spec import AnalogTarget, Programming

Pass = Callable[[Network], None]
LOWERING: list[tuple[str, Pass]] = [
    ("canonicalize", canonicalize),
    ("fold_batch_norms", fold_batch_norms),
    ("unfold_convolutions", unfold_convolutions),
    ("write_as_linear", write_as_linear),
    ("find_layers", find_layers),
    ("fuse_shared_inputs", fuse_shared_inputs),
    ("find_products", find_products),
]
"""Passes over the graph, whatever the chip."""
MAPPING = ("assign_targets", "offer_targets", "place")
OBSERVING = ("locate_samples", "assign_targets", "observe", "rescale_channels", "fold_channel_scales", "offer_targets",
             "place", "verify")  # fmt: skip
"""Steps after lowering where there are weights; without them those of ``MAPPING``."""


@dataclass(frozen=True)
class Mapped:
    """A network on a chip: all that a plan says of it beside the network itself."""

    layers: list[LayerRecord]
    matmuls: list[MatmulRecord]
    weights: list[WeightRecord]
    placement: Placement
    programming: list[Programming]
    decisions: list[Decision]
    channel_scales: Mapping[str, Tensor]
    """Channel scales that stay digital, by layer."""
    calibrations: Mapping[tuple[str, str], Tensor]
    """Inputs that an affine compensation is fitted to, by layer and target."""


@dataclass(frozen=True)
class Choices:
    """Choices that are made before any input is looked at."""

    targets: Mapping[str, Assigned]
    methods: Mapping[str, Wish]
    units: Mapping[str, Routed]

    @classmethod
    def of(cls, network: Network, wishes: Wishes) -> Choices:
        """Targets, programming methods and attention units of a lowered network."""
        targets = assign_targets(network.layers, wishes.chip, wishes.targets)
        methods = wanted_methods(network.layers, targets, wishes.programming)
        return cls(targets, methods, route_attention(network.products, wishes.units))


@dataclass(frozen=True)
class Findings:
    """Findings on sample inputs, and the channel scales that are worth it and stay digital."""

    samples: SampleAxes
    inputs: Observations
    scales: Mapping[str, Tensor]
    decisions: list[Decision]


def map_network(network: Network, wishes: Wishes, on_pass: OnPass | None = None) -> Mapped:
    """Lower a network and map it onto a chip. Raises ``InputError`` for wishes that cannot be met, ``PassError``."""
    has_weights = network.traced.has_weights
    pipeline = Pipeline(network, [*(name for name, _ in LOWERING), *(OBSERVING if has_weights else MAPPING)], on_pass)
    for name, run in LOWERING:
        pipeline.lower(name, partial(run, network))
    samples = pipeline.decide("locate_samples", partial(locate_samples, network)) if has_weights else None
    choices = pipeline.decide("assign_targets", partial(Choices.of, network, wishes))
    observed = _observe(pipeline, choices, samples) if samples is not None else None
    options = pipeline.decide("offer_targets", partial(_options, network, wishes, choices, observed))
    mapped = pipeline.decide("place", partial(_mapped, network, wishes, choices, observed, options))
    if has_weights:
        check = partial(verify, network, mapped.layers, wishes.chip, mapped.channel_scales)
        mapped = replace(mapped, decisions=[*mapped.decisions, pipeline.decide("verify", check)])
    pipeline.finish()
    return mapped


def _observe(pipeline: Pipeline, choices: Choices, samples: SampleAxes) -> Findings:
    """Run the sample inputs, and choose and fold channel scales by them."""
    network = pipeline.network
    heads = {name: routed.heads for name, routed in choices.units.items() if routed.heads is not None}
    seen = pipeline.decide("observe", partial(observe, network, heads))
    found = pipeline.decide("rescale_channels", partial(_channel_scales, network, choices, seen))
    scales = {name: one.scale for name, one in found.items() if one.scale is not None}
    folded = pipeline.lower("fold_channel_scales", partial(fold_channel_scales, network, scales))
    left = {name: scale for name, scale in scales.items() if name not in folded}
    seen = seen.divided({name: scales[name] for name in folded})
    return Findings(samples, seen, left, [one.decision for one in found.values()])


def _channel_scales(network: Network, choices: Choices, seen: Observations) -> dict[str, ChannelScale]:
    """Channel scales of the layers on tiles whose inputs are converted."""
    converted = {
        name: target
        for name in network.layers
        if isinstance(target := choices.targets[name].target, AnalogTarget) and target.tile.dac is not None
    }

    def scale(name: str) -> ChannelScale:
        target, layer = converted[name], network.layers[name]
        method, _ = choose_programming(name, target, choices.methods.get(name))
        return rescale_channels(name, network.layer_module(name).weight, target, method, seen.of_layer(layer))

    return dict(zip(converted, in_parallel(scale, list(converted)), strict=True))


def _options(network: Network, wishes: Wishes, choices: Choices, observed: Findings | None) -> Options:
    def seen(layer: WeightLayer) -> Seen | None:
        if observed is None:
            return None
        weight = network.layer_module(layer.name).weight
        return Seen(weight, observed.scales.get(layer.name), observed.inputs.of_layer(layer))

    return offer_targets(network.layers, choices.targets, wishes.chip, choices.methods, seen)


def _mapped(network: Network, wishes: Wishes, choices: Choices, observed: Findings | None, options: Options) -> Mapped:
    layers, placement, placed = place(
        [
            LayerRecord(
                name=name,
                inputs=layer.inputs,
                outputs=layer.outputs,
                has_bias=layer.has_bias,
                parts=list(layer.parts),
                uses=[
                    UseRecord(sample_axis=observed.samples[name, use] if observed is not None else None)
                    for use in range(layer.uses)
                ],
                target=choices.targets[name].target.name,
                reason=choices.targets[name].reason,
                predicted_loss=None,
                tiles=[],
                options=options.of_layers[name],
            )
            for name, layer in network.layers.items()
        ],
        wishes.chip,
    )
    products = [
        matmul_record(routed, observed.inputs.of_product(name) if observed is not None else None)
        for name, routed in choices.units.items()
    ]
    targets = {name: assigned.target for name, assigned in choices.targets.items()}
    gone = {layer.name for group in network.fused.values() for layer in group}  # into fused ones
    return Mapped(
        layers=layers,
        matmuls=[record for record, _ in products],
        weights=account_for_weights(parameters_of(network), targets, network.traced.model.parameters),
        placement=placement,
        programming=options.methods,
        decisions=[
            *(decision for decision in network.decisions if decision.subject not in gone),
            *fusion_decisions(network.layers, network.fused, wishes.chip),
            *(decision for _, decisions in products for decision in decisions),
            *(assigned.decision for assigned in choices.targets.values()),
            *(observed.decisions if observed is not None else ()),
            *placed,
        ],
        channel_scales=observed.scales if observed is not None else {},
        calibrations=options.calibrations,
    )
