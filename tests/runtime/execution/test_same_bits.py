"""Plan, seed and time fix every bit, whatever the threads, the batch, or the order of times."""

from typing import Any

import pytest
import torch
from torch import nn

import tilewright
from tilewright.targets.loading import load_target

X = torch.randn(120, 96, generator=torch.Generator().manual_seed(0))
OWN = {"rule": "dynamic", "doublings": {"value": 2, "unit": "reading", "source": "test"}}
LSB = {"value": 2, "unit": "LSB", "source": "test"}
STUCK = {key: {"value": 0.01, "unit": "1", "source": "test"} for key in ("at_zero", "at_maximum")}
VARIANTS: dict[str, dict[str, Any]] = {
    "closed loop, one-hot": {"programming": "closed-loop-one-hot"},
    "closed loop, random": {"programming": "closed-loop-random"},
    "most and least": {"programming": "most-least"},
    "four pairs, affine": {"programming": "pairs-4", "drift_compensation": "affine"},
    "ranges of their own": {"tile.input_range": OWN},
    "bent converters with offsets": {"tile.adc.nonlinearity": LSB, "tile.dac.nonlinearity": LSB, "tile.adc.offset": LSB,
                                     "tile.dac.offset": LSB},
    "stuck devices, wires": {"stuck_devices": STUCK, "tile.ir_drop.enabled": True},
}  # fmt: skip


def outputs(plan, threads, batch):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        session = tilewright.Session(plan, seed=3)
        if batch < len(X):
            session.advance_to("1mo")  # another time first changes nothing
        session.advance_to("1h")
        return torch.cat([session(x=part)["output"] for part in X.split(batch)])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", VARIANTS)
def test_threads_batches_and_times_change_no_bit(name):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(96, 700), nn.Linear(700, 8)

        def forward(self, x):
            return self.second(torch.relu(self.first(x)))

    torch.manual_seed(0)
    plan = tilewright.compile(Network().eval(), load_target("pcm-512", VARIANTS[name]), example_inputs=X)
    assert torch.equal(outputs(plan, threads=2, batch=len(X)), outputs(plan, threads=1, batch=50))
