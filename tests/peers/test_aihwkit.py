"""Against IBM's AIHWKit: the same laws, sampled by both. docs/physics.md explains what differs.

Needs the package aihwkit: `make test-peers`. Two-sample Kolmogorov-Smirnov tests at 99.9 % confidence, seeds fixed.
"""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import ks_2samp

from tests.narrowing import analog
from tilewright.runtime.chip.draws import Draws
from tilewright.runtime.chip.drift import conductances_at
from tilewright.runtime.chip.programming import cells_of
from tilewright.runtime.chip.programming.writing import write
from tilewright.runtime.measuring.characterize import characterize, standard_problem
from tilewright.targets.devices import statistics_of
from tilewright.targets.loading import load_programming, load_target

pytest.importorskip("aihwkit", reason="aihwkit is not installed; `make test-peers` does", exc_type=ImportError)

CONFIDENCE = 1e-3
TIMES = {"1s": 1.0, "1h": 3600.0, "1d": 86400.0, "1mo": 2592000.0, "1y": 31536000.0}
AS_THEIRS = {"device.inactive_device": "programmed", "device.drift.negative_exponent": "absolute"}
TARGET = analog("pcm-512", AS_THEIRS)
STATISTICS = statistics_of(TARGET.device)
SHAPE = (200, 200)


@pytest.fixture
def noise_model():
    from aihwkit.inference import PCMLikeNoiseModel

    return PCMLikeNoiseModel(g_max=25.0)


def agree(ours, theirs):
    return ks_2samp(ours.flatten().double().numpy(), theirs.flatten().double().numpy()).pvalue > CONFIDENCE


def programmed(g):
    cells = cells_of(torch.full(SHAPE, g), load_programming("direct"), both_devices=True)
    return cells, write(cells, STATISTICS, Draws(0, 0), "layer")


@pytest.mark.parametrize("g", [0.0, 0.05, 0.25, 0.5, 1.0])
def test_programmed_conductances(noise_model, g):
    _, ours = programmed(g)
    theirs = noise_model.apply_programming_noise_to_conductance(torch.full(SHAPE, g * 25)) / 25
    assert agree(ours[0], theirs)


@pytest.mark.parametrize("g", [0.01, 0.05, 0.25, 1.0])
def test_drift_exponents(noise_model, g):
    ours = STATISTICS.drift_exponent(torch.full(SHAPE, g), torch.randn(SHAPE))
    assert agree(ours, noise_model.generate_drift_coefficients(torch.full(SHAPE, g * 25)))


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("g", [0.05, 0.25, 0.5, 1.0])
def test_conductances_at_every_time(noise_model, g, time):
    cells, held = programmed(g)
    ours = conductances_at(TIMES[time], held, cells, STATISTICS, Draws(0, 0), "layer")[0]
    wanted = torch.full(SHAPE, g * 25)
    theirs = noise_model.apply_programming_noise_to_conductance(wanted)
    exponents = noise_model.generate_drift_coefficients(wanted)
    theirs = noise_model.apply_drift_noise_to_conductance(theirs, exponents, TIMES[time]) / 25
    assert agree(ours, theirs)


@pytest.mark.parametrize("time", TIMES)
def test_what_differs_is_the_way_back_from_programmed_weights(noise_model, time):
    """AIHWKit makes conductances of the programmed weights again at inference, relative to their new maximum, above 1,
    and takes the minus device as silent from there on. Devices seem smaller, and smaller ones have more 1/f
    noise. Our statistics on that way give their distribution; on ours, the weights are less noisy.
    """
    weight = standard_problem(200, 200, 2)[0]
    held, exponents = noise_model.apply_programming_noise(weight)
    theirs = noise_model.apply_drift_noise(held, exponents, TIMES[time])
    largest = held.abs().max()
    assert largest > 1.1
    conductances = held.abs() / largest
    drifted = conductances * torch.exp(-theirs_exponent(held, exponents) * STATISTICS.drift_logarithm(TIMES[time]))
    noise = STATISTICS.accumulated_deviation(conductances, TIMES[time]) * torch.randn_like(drifted)
    ours = (drifted + drifted * noise).clamp(min=0) * held.sign() * largest
    assert agree(ours - weight, theirs - weight)
    assert (theirs - held).std() > 1.005 * noise_of_our_way(weight, time)


def theirs_exponent(held, exponents):
    """Their exponent of the device that holds the weight now."""
    return torch.where(held > 0, exponents[0], exponents[1])


def noise_of_our_way(weight, time):
    cells = cells_of(weight, load_programming("direct"), both_devices=True)
    written = write(cells, STATISTICS, Draws(0, 0), "layer")
    later = conductances_at(TIMES[time], written, cells, STATISTICS, Draws(0, 0), "layer")
    return (cells.weights(later) - cells.weights(written)).std()


@pytest.mark.parametrize("bits", [8, 10])
def test_the_error_of_a_product(bits):
    """Within .01 at every time, without the short-term read noise, which AIHWKit's torch tile has not; theirs is the
    larger one, by what the test above explains.
    """
    from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
    from aihwkit.nn import AnalogLinear
    from aihwkit.simulator.configs import TorchInferenceRPUConfig
    from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType

    noise = 0.04 if bits == 8 else 0.5 * 20 / 1022
    config = TorchInferenceRPUConfig()
    config.mapping.weight_scaling_omega, config.mapping.weight_scaling_columnwise = 1.0, True
    config.mapping.max_input_size = config.mapping.max_output_size = 512
    forward = config.forward
    forward.inp_res, forward.out_res, forward.out_noise = 254.0, 2.0**bits - 2, noise
    forward.inp_bound, forward.out_bound = 1.0, 10.0
    forward.bound_management, forward.noise_management = BoundManagementType.NONE, NoiseManagementType.NONE
    config.noise_model, config.drift_compensation = PCMLikeNoiseModel(g_max=25.0), GlobalDriftCompensation()
    weight, inputs = standard_problem(512, 512, 1024)
    exact = inputs @ weight.T
    layer = AnalogLinear(512, 512, bias=False, rpu_config=config)
    layer.set_weights(weight)
    layer.eval()
    layer.program_analog_weights()
    theirs = []
    for seconds in TIMES.values():
        layer.drift_analog_weights(seconds)
        with torch.no_grad():
            theirs.append(float((layer(inputs) - exact).norm() / exact.norm()))
    output_noise = {"value": noise, "unit": "1", "source": "as AIHWKit"}
    changes = {"tile.adc.bits": bits, "tile.output_noise": output_noise, "tile.short_term_read_noise": 0}
    found = characterize(load_target("pcm-512", {**AS_THEIRS, **changes}), times=list(TIMES), repeats=2)
    means = [point.mean for point in found.curves[0].points]
    assert means == pytest.approx(theirs, abs=0.01)
    assert all(one < other for one, other in zip(means, theirs, strict=True))


def test_the_recipe_of_the_docs_for_its_own_models(tmp_path):
    """Its digital weights with the ranges of its tiles beside them, as docs/checkpoints.md writes them."""
    from aihwkit.nn.conversion import convert_to_analog, convert_to_digital
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    config = TorchInferenceRPUConfig()
    config.pre_post.input_range.enable = True
    config.mapping.max_input_size, config.mapping.max_output_size = 64, 0
    config.mapping.weight_scaling_omega, config.mapping.weight_scaling_columnwise = 1.0, True
    digital = torch.nn.Sequential(torch.nn.Linear(100, 30), torch.nn.ReLU(), torch.nn.Linear(30, 20))
    analog = convert_to_analog(digital, config)
    for number, tile in enumerate(analog.analog_tiles()):
        tile.input_range.data.fill_(0.5 + number / 4)
    names = {"analog": analog, "convert_to_digital": convert_to_digital, "torch": torch, "save_file": save_file}
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    (recipe,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "named_analog_tiles" in code]
    exec(recipe.replace('"model.safetensors"', repr(str(tmp_path / "model.safetensors"))), names)
    tensors = load_file(tmp_path / "model.safetensors")
    assert tensors["0.input_range"].tolist() == [0.5, 0.75]
    assert tensors["2.input_range"].tolist() == [1.0]
    assert torch.allclose(tensors["0.weight"], digital.get_parameter("0.weight"), atol=1e-6)
