"""Small networks, and the state of compiling them, for tests of several rooms."""

from itertools import pairwise

from torch import nn

from tilewright.compiler.driver import trace
from tilewright.compiler.mapping.overrides import Wishes
from tilewright.compiler.network.network import Network
from tilewright.compiler.pipeline import Pipeline
from tilewright.runtime.plan.records import SampleAxis
from tilewright.targets.loading import load_chip

SAMPLES_FIRST = SampleAxis(dimension=0, innermost=False)
"""The usual place of samples: [samples, ...]."""


def stack(*sizes):
    """Linear layers one after the other."""
    return nn.Sequential(*[nn.Linear(one, two) for one, two in pairwise(sizes)])


def traced_network(model, inputs):
    """A network before the first pass."""
    return Network.of(trace(model, inputs, None, None, None))


def lower(network, passes):
    """Run lowering passes, each checked."""
    pipeline = Pipeline(network, len(passes))
    for step in passes:
        pipeline.lower(step)


def plain_wishes(target="pcm-512"):
    """Wishes for a chip's own targets, methods and units."""
    chip = load_chip(target)
    return Wishes(chip, {"*": chip.attention.unit})
