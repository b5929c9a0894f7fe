"""Noise of weights in training: the laws, the names, and the same writes as the runtime's."""

import pytest
import torch

from tests.kernel_sets import forced
from tests.variants import variant
from tilewright.compiler.training.weight_noise import weight_noise
from tilewright.runtime.chip.draws import Draws
from tilewright.targets.devices import statistics_of
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_recipe, load_target

NAME = ("training", "l", 0)
COUNT = 20_000
SPREAD = 0.03
"""Relative error allowed of a deviation of COUNT numbers: six times its standard error, 1 / sqrt(2 COUNT)."""


def noisy(recipe, weights, *, target="pcm-512", share=1.0, seed=0, **changes):
    changed = load_recipe(recipe, {key.replace("__", "."): value for key, value in changes.items()})
    return weight_noise(changed, variant(target))(weights.clone(), share, Draws(seed, 1), NAME)


def column(value):
    return torch.full((COUNT // 100, 100), value)


@pytest.mark.parametrize("value", [0.0, 0.3, -1.0])
@pytest.mark.parametrize("share", [1.0, 0.25])
def test_additive_noise_has_its_deviation(value, share):
    made = noisy("lammie-2026", column(value), share=share)
    assert float((made - value).std()) == pytest.approx(0.06 * share, rel=SPREAD)
    assert abs(float((made - value).mean())) < 5 * 0.06 / COUNT**0.5


@pytest.mark.parametrize("target", ["pcm-512", "ftj-balanced", "rram-512"])
@pytest.mark.parametrize("value", [0.7, -0.7])
def test_writes_are_the_targets_own(target, value):
    made = noisy("device-noise", column(value), target=target)
    deviation = float(statistics_of(variant(target).device).programming_deviation(torch.tensor([0.7]))) * 1.5
    assert float((made - value).std()) == pytest.approx(deviation, rel=SPREAD)


def test_a_silent_zero_stays_zero_and_no_weight_changes_its_sign():
    weights = torch.linspace(-1, 1, 201).repeat(50, 1)
    made = noisy("ftj-thesis", weights)
    assert not made[weights == 0].any()
    assert not (made * weights < 0).any()


def test_polynomial_noise_has_aihwkits_law(tmp_path):
    file = tmp_path / "poly.yaml"
    file.write_text(
        "schema_version: 2\nkind: recipe\nextends: device-noise\nname: poly\nsummary: x\n"
        "weight_noise: {kind: polynomial, strength: {value: 2, unit: '1', source: s}, "
        "constant: {value: 0.0105392, unit: '1', source: s}, linear: {value: 0.0768, unit: '1', source: s}, "
        "quadratic: {value: -0.046925, unit: '1', source: s}}\n"
    )
    made = weight_noise(load_recipe(file), variant("pcm-512"))(column(0.5), 1.0, Draws(0, 1), NAME)
    assert float((made - 0.5).std()) == pytest.approx(2 * (0.0105392 + 0.0768 * 0.5 - 0.046925 * 0.25), rel=SPREAD)


def test_dropped_weights_are_zero_with_their_probability():
    made = noisy("digital", column(0.5), dropped_weights=0.2)
    assert float((made == 0).float().mean()) == pytest.approx(0.2, abs=5 * (0.2 * 0.8 / COUNT) ** 0.5)
    assert set(made.unique().tolist()) == {0.0, 0.5}  # nothing is scaled up


def test_noise_is_named_and_the_same_without_kernels():
    weights = torch.linspace(-1, 1, 1001).view(7, 143)
    made = noisy("device-noise", weights, seed=3)
    assert torch.equal(made, noisy("device-noise", weights, seed=3))
    assert not torch.equal(made, noisy("device-noise", weights, seed=4))
    with forced("off"):
        assert torch.equal(made, noisy("device-noise", weights, seed=3))


def test_nothing_is_imposed_of_an_exact_device():
    exact = variant(device={"statistics": "ideal"})
    weights = column(0.5)
    assert torch.equal(weight_noise(load_recipe("device-noise"), exact)(weights, 1.0, Draws(0, 1), NAME), weights)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("weight_nose: null", "weight_nose"),
        ("ramp: 0.5", "a number needs value, unit"),
        ("backward: none", "noisy"),
        ("weight_noise: {kind: loud, strength: {value: 1, unit: '1', source: s}}", "loud"),
        ("ramp: {value: 2, unit: '1', source: s}", "allowed is 0 to 1"),
    ],
)
def test_a_wrong_recipe_is_one_sentence(tmp_path, change, said):
    file = tmp_path / "r.yaml"
    file.write_text(f"schema_version: 2\nkind: recipe\nextends: device-noise\nname: r\nsummary: s\n{change}\n")
    with pytest.raises(InputError, match=said) as caught:
        load_recipe(file)
    assert "\n" not in str(caught.value)


def test_a_recipe_is_no_target():
    with pytest.raises(InputError, match="spoon-2021"):
        load_recipe("pcm-512")
    with pytest.raises(InputError, match="recipe"):
        load_target("spoon-2021")
