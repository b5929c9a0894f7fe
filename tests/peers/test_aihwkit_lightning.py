"""Against IBM's AIHWKit-Lightning: what converters alone do to a product. It has no devices that drift.

Needs the package aihwkit-lightning: `make test-peers`.
"""

import pytest
import torch

from tests.narrowing import analog, present
from tests.on_tiles import layer_on_tiles
from tilewright.runtime.measuring.characterize import standard_problem

lightning = pytest.importorskip(
    "aihwkit_lightning", reason="aihwkit-lightning is not installed; `make test-peers` does", exc_type=ImportError
)


@pytest.mark.parametrize("bits", [8, 10])
def test_converters_agree_but_for_edges_of_a_step(bits):
    """Ranges of each vector's own, no noise: 97 % of outputs the same, the others one LSB apart."""
    from aihwkit_lightning.nn import AnalogLinear as TheirLinear
    from aihwkit_lightning.simulator.configs import TorchInferenceRPUConfig

    weight, inputs = standard_problem(512, 64, 256)
    config = TorchInferenceRPUConfig()
    config.forward.inp_res, config.forward.out_res, config.forward.out_bound = 254.0, 2.0**bits - 2, 10.0
    config.pre_post.input_range.enable = config.pre_post.input_range.dynamic = True
    theirs = TheirLinear(512, 64, bias=False, rpu_config=config)
    theirs.set_weights(weight)
    theirs.eval()
    quiet = {"device": {"statistics": "ideal"}, "tile.output_noise": 0, "tile.short_term_read_noise": 0}
    own = {"rule": "dynamic", "doublings": {"value": 0, "unit": "reading", "source": "as theirs"}}
    plain = {"tile.scale_precision": "float32", "drift_compensation": "none", "tile.input_range": own}
    target = analog("pcm-512", {**quiet, **plain, "tile.adc.bits": bits})
    ours = layer_on_tiles(weight, target)
    with torch.no_grad():
        difference = (ours(inputs) - theirs(inputs)).abs()
    assert (difference > 1e-3).double().mean() < 0.03
    assert difference.max() <= present(target.tile.adc).step * 1.001
