"""Prepared layers are a session's layers in law, and torch's own where nothing is imposed."""

import copy
import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

import tilewright
from tests.variants import EXACT_DEVICE, QUIET, variant
from tilewright.compiler.training.prepare import conditions_of, prepare, restore
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_recipe

FLIPPED = 0.05
"""Largest share of outputs that may be a step of the ADC off: tiles hold weights on a grid of 2^-13."""
TARGETS: dict[str, dict[str, Any]] = {
    "pcm-512": QUIET | {"tile__scale_precision": "float32"},
    "pcm-512-dynamic": QUIET,
    "hermes-256": QUIET | {"tile__ir_drop": None},
    "ftj-balanced": QUIET | {"programming": "direct"},
    "pcm-512, a scale a tile": QUIET
    | {"tile__scale_precision": "float32", "tile__weight_scale": "per_tile", "tile__columns": 16},
}


def quiet(name):
    return variant(name.split(",")[0], **EXACT_DEVICE, **TARGETS[name], drift_compensation="none", stuck_devices=None)


def outliers(*shape):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(*shape, generator=generator)
    x[..., -4:] *= 20
    return x


LAYERS = {
    "linear": lambda: (nn.Linear(100, 40), outliers(8, 3, 100)),
    "several row-blocks": lambda: (nn.Linear(1100, 40), outliers(8, 1100)),
    "convolution": lambda: (nn.Conv2d(70, 20, 3, padding=1, stride=2), torch.randn(3, 70, 9, 9)),
    "convolution of lines": lambda: (nn.Conv1d(20, 20, 3, padding="same", dilation=2), torch.randn(4, 20, 9)),
    "other padding": lambda: (nn.Conv2d(5, 6, (3, 2), padding=(1, 2), padding_mode="reflect"), torch.randn(3, 5, 9, 7)),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_prepared_layer_is_a_sessions_layer(target, kind):
    layer, x = LAYERS[kind]()
    on = quiet(target)
    plan = tilewright.compile(layer, on, example_inputs={"input": x})
    wanted = next(iter(tilewright.Session(plan).advance_to(0)(input=x).values()))
    with torch.no_grad():
        exact = layer(x)
        made = prepare(layer, on, example_inputs={"input": x}).eval()(x)
    assert made.shape == exact.shape
    flipped = (made - wanted).abs() > 1e-4 * exact.abs().max()
    assert float(flipped.float().mean()) < FLIPPED
    error = float((wanted - exact).norm() / exact.norm())
    assert error > 1e-3  # converters do something
    assert float((made - wanted).norm() / exact.norm()) < error / 2


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10), nn.ReLU(), nn.Linear(10, 4))


def batch(count=16):
    generator = torch.Generator().manual_seed(2)
    return torch.randn(count, 20, generator=generator), torch.randint(0, 4, (count,), generator=generator)


def step(model, optimizer, x, labels):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), labels)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def prepared(recipe="device-noise", seed=0, **changes):
    loaded = load_recipe(recipe, {key.replace("__", "."): value for key, value in changes.items()})
    return prepare(network(), "pcm-512", recipe=loaded, example_inputs={"input": batch()[0]}, seed=seed).train()


def test_without_effects_loss_gradients_and_a_step_are_torchs():
    plain, (x, labels) = network(), batch()
    model = prepared("digital", converters=False)
    for part in model.modules():
        if hasattr(part, "input_range") and part.input_range is not None:
            part.input_range.fill_(1e6)
    losses = [step(one, torch.optim.SGD(one.parameters(), 0.1), x, labels) for one in (model, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    for own, other in zip(restore(model).parameters(), plain.parameters(), strict=True):
        assert torch.allclose(own.grad, other.grad, rtol=1e-5, atol=1e-6)
        assert torch.allclose(own, other, rtol=1e-6, atol=1e-6)


def test_additive_noise_adds_its_variance_to_a_squared_loss():
    torch.manual_seed(0)
    layer, x = nn.Linear(12, 5, bias=False), torch.randn(1, 12)
    gamma = layer.weight.abs().amax(dim=1).detach()
    with torch.no_grad():
        exact = layer(x)
    recipe = load_recipe("lammie-2026", {"output_noise": {"value": 0, "unit": "1", "source": "s"}, "converters": False})
    model = prepare(layer, "pcm-512", recipe=recipe, example_inputs={"input": x}).train()
    model.get_buffer("input_range").fill_(1e6)
    model.channel_scale = None  # type: ignore[assignment]
    with torch.enable_grad():
        draws = torch.stack([model(x).detach() for _ in range(4000)])
    wanted = (0.06 * gamma) ** 2 * x.square().sum()
    # 4,000 draws: the standard error of a variance is 2.2 %, and five columns are seen
    assert torch.allclose((draws - exact).square().mean(dim=0), wanted, rtol=0.1)


def test_noise_is_drawn_anew_each_pass_and_once_for_a_batch():
    model, (x, _) = prepared(), batch()
    first, second = model(x), model(x)
    assert not torch.equal(first, second)
    with torch.no_grad():
        model.eval()
        assert torch.equal(model(x), model(x))


def trained(model, steps, optimizer=None):
    x, labels = batch()
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), 1e-2)
    return [step(model, optimizer, x, labels) for _ in range(steps)], optimizer


TRAINED_BY_THREADS = """
import torch
from tests.compiler.training.test_prepared import prepared, trained
torch.set_num_threads({threads})
model = prepared(seed={seed})
print(trained(model, 4)[0], [float(parameter.detach().double().sum()) for parameter in model.parameters()])
"""


def test_a_seed_trains_the_same_bits_whatever_the_threads():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("MKL_CBWR", None)  # tilewright sets it
    found = []
    for threads, seed in ((1, 5), (2, 5), (1, 6)):
        code = TRAINED_BY_THREADS.format(threads=threads, seed=seed)
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        found.append(done.stdout)
    assert found[0] == found[1] != found[2]


def test_a_checkpoint_goes_on_with_the_same_bits():
    model = prepared()
    _, optimizer = trained(model, 3)
    kept = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    wanted, _ = trained(model, 3, optimizer)
    again = prepared()
    again.load_state_dict(kept[0])
    optimizer = torch.optim.AdamW(again.parameters(), 1e-2)
    optimizer.load_state_dict(kept[1])
    assert trained(again, 3, optimizer)[0] == wanted


@pytest.mark.parametrize("recipe", tilewright.target_names("recipe"))
def test_every_recipe_trains(recipe):
    model = prepared(recipe)
    losses, _ = trained(model, 2)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert all(parameter.grad is not None for name, parameter in model.named_parameters() if "weight" in name)


def test_clean_weights_carry_the_gradient_where_the_recipe_says_so():
    torch.manual_seed(0)
    x = torch.randn(2, 12)
    changes = {"converters": False, "weight_noise.strength": 10}
    gradients: dict[str, Any] = {}
    for backward in ("clean", "noisy"):
        torch.manual_seed(1)
        layer = nn.Linear(12, 5, bias=False)
        recipe = load_recipe("spoon-2021", {**changes, "backward": backward})
        model = prepare(layer, "pcm-512", recipe=recipe, example_inputs={"input": x}).train()
        inputs = (x * 0.1).requires_grad_()
        model(inputs).sum().backward()
        gradients[backward] = inputs.grad
        clean = layer.weight.detach().sum(dim=0).expand_as(x)
    assert torch.allclose(gradients["clean"], clean, rtol=0.02, atol=0.02)  # scales are bfloat16 on the chip
    assert not torch.allclose(gradients["noisy"], clean, rtol=0.1, atol=0.1)


def test_the_plain_network_comes_back():
    model, names = prepared(), set(network().state_dict())
    assert names < set(model.state_dict())
    weights = [parameter.detach().clone() for parameter in model.parameters()]
    plain = restore(model)
    assert set(plain.state_dict()) == names
    assert type(plain[0]) is nn.Linear
    assert all(torch.equal(one, other) for one, other in zip(plain.parameters(), weights, strict=True))
    x = batch()[0]
    assert torch.equal(plain(x), plain(x))
    with pytest.raises(InputError, match="is not prepared"):
        restore(plain)


def test_a_copy_is_prepared_on_its_own():
    model = prepared()
    other = restore(copy.deepcopy(model))
    assert type(other[0]) is nn.Linear
    assert conditions_of(model).target.name == "pcm-512"
    trained(model, 1)


def test_a_second_preparation_is_refused():
    with pytest.raises(InputError, match="prepared already"):
        prepare(prepared(), "pcm-512", example_inputs={"input": batch()[0]})


@pytest.mark.parametrize("target", ["ideal", "digital-int8"])
def test_targets_that_impose_nothing_are_refused(target):
    with pytest.raises(InputError, match="nothing to train it for"):
        prepare(network(), target, example_inputs={"input": batch()[0]})


def test_layers_that_no_module_holds_are_refused():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.randn(5, 20))

        def forward(self, input):  # noqa: A002
            return input @ self.table.T

    with pytest.raises(InputError, match=r"'table', which no Linear"):
        prepare(Own(), "pcm-512", example_inputs={"input": batch()[0]})


def test_a_plan_prepares_the_same_network():
    x = outliers(8, 20)
    plan = tilewright.compile(network(), "pcm-512", example_inputs={"input": x})
    by_plan = prepare(network(), plan=plan).eval()
    by_target = prepare(network(), "pcm-512", example_inputs={"input": x}).eval()
    assert torch.equal(by_plan(x), by_target(x))
    other = network()
    nn.init.normal_(other[0].weight)
    with pytest.raises(InputError, match="are not those of the plan"):
        prepare(other, plan=plan)


def test_ranges_that_were_trained_are_the_plans():
    model = prepared("rasch-2023")
    trained(model, 3)
    own = {name: float(tensor) for name, tensor in model.state_dict().items() if name.endswith(".input_range")}
    plan = tilewright.compile(model, "pcm-512", example_inputs={"input": batch()[0]})
    assert type(model[0]) is not nn.Linear  # it stays prepared
    for layer in plan.document.layers:
        (part,) = layer.parts
        assert layer.option.input_ranges == [own[part.weight.replace(".weight", ".input_range")]]


def test_a_language_model_of_transformers_is_prepared():
    """GPT-2, whose linear layers are transformers' own, [inputs, outputs], and whose outputs have a cache."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 16, "vocab_size": 50, "resid_pdrop": 0.0}
    model = GPT2LMHeadModel(GPT2Config(**sizes, attn_pdrop=0.0, embd_pdrop=0.0)).eval()
    batch = {"input_ids": torch.arange(24).view(2, 12), "attention_mask": torch.ones(2, 12, dtype=torch.int64)}
    prepare(model, example_inputs=batch).train()
    assert model.config.use_cache
    optimizer = torch.optim.AdamW(tilewright.parameter_groups(model), 1e-3)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = model(**batch, labels=batch["input_ids"]).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    plan = tilewright.compile(model.eval(), example_inputs=batch)
    assert len(plan.document.layers) == 5
    assert all(layer.option.input_ranges for layer in plan.document.layers)
    with torch.no_grad():
        wanted = restore(model)(**batch).logits
    found = tilewright.Session(plan, ideal=True)(**batch)["logits"]
    assert float((found - wanted).norm() / wanted.norm()) < 1e-5


def test_a_buffer_of_ranges_follows_its_network():
    model = prepared().double()
    assert model[0].input_range.dtype == torch.float64


def test_recomputed_activations_have_the_same_noise():
    from torch.utils.checkpoint import checkpoint

    x, labels = batch()
    gradients = []
    for recomputes in (False, True):
        model = prepared(seed=3)
        run = (lambda part, value: checkpoint(part, value, use_reentrant=False)) if recomputes else lambda f, v: f(v)
        model.forward = lambda value, model=model, run=run: run(model[2:], run(model[:2], value))
        nn.functional.cross_entropy(model(x), labels).backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_mixed_precision_does_not_round_the_levels_of_converters():
    x = batch()[0]
    model = prepared().eval()
    exact = model[0](x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model[0](x)
    assert mixed.dtype == torch.bfloat16
    assert torch.equal(mixed, exact.bfloat16())


def test_frozen_layers_stay_and_impose_their_noise():
    model = prepared()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    before = model[0].weight.clone()
    losses, _ = trained(model, 3)
    assert torch.equal(model[0].weight, before)
    assert len(set(losses)) == 3


@pytest.mark.parametrize(("rule", "limit"), [("matrix_deviations", 0.3), ("column_deviations", 0.3), ("fixed", 0.25)])
def test_weights_are_clipped_after_a_step(rule, limit):
    key = "value" if rule == "fixed" else "deviations"
    clipping = {"rule": rule, key: {"value": 0.25 if rule == "fixed" else 3, "unit": "1", "source": "s"}}
    recipe = load_recipe("device-noise", {"weight_clipping": clipping})
    layer = nn.Linear(400, 50)
    nn.init.normal_(layer.weight, std=0.1)
    model = prepare(layer, "pcm-512", recipe=recipe, example_inputs={"input": torch.randn(4, 400)})
    with torch.no_grad():
        layer.weight.mul_(0.1 / layer.weight.std(dim=1, keepdim=True, correction=0))
        layer.weight[0, 0] = 0.9
    before = layer.weight.detach().clone()
    tilewright.after_step(model)
    inside = before.abs() < 0.24
    assert torch.equal(layer.weight[inside], before[inside])
    assert float(layer.weight[1:].detach().abs().max()) <= limit * 1.01
    assert float(layer.weight[0, 0].detach()) < 0.4


@pytest.mark.parametrize("progress", [-0.1, 1.5, True, "half", float("nan")])
def test_progress_is_a_share(progress):
    with pytest.raises(InputError, match="allowed is 0 to 1"):
        tilewright.set_progress(prepared(), progress)


def test_the_ramp_follows_the_progress():
    model, (x, _) = prepared("device-noise", output_noise={"value": 0, "unit": "1", "source": "s"}), batch()
    clean = model.eval()(x)
    model.train()
    distances = []
    for progress in (0, 0.1, 1):
        tilewright.set_progress(model, progress)
        distances.append(float((model(x) - clean).detach().norm()))
    assert distances[0] == 0
    assert 0 < distances[1] < distances[2]


def test_a_network_is_prepared_whole_or_not_at_all():
    x = outliers(8, 20)
    plan = tilewright.compile(network(), "pcm-512", example_inputs={"input": x})
    other = network()
    nn.init.normal_(other[4].weight)  # the last layer is not the plan's
    with pytest.raises(InputError, match="are not those of the plan"):
        prepare(other, plan=plan)
    assert [type(part) for part in other] == [type(part) for part in network()]
    assert set(other.state_dict()) == set(network().state_dict())


@pytest.mark.parametrize(("compensation", "restored"), [("global", 1.0), ("per_column", 1.0), ("none", 0.5617)])
def test_drift_shrinks_sums_before_the_adc_and_compensation_enlarges_them(compensation, restored):
    """Equal weights all have the largest conductance, where ν = .049: a month leaves (2592000 / 20)^-.049 of it."""
    on = variant("pcm-512", **QUIET, drift_compensation=compensation, tile__adc=None, tile__dac=None)
    layer, x = nn.Linear(8, 2, bias=False), torch.ones(1, 8)
    with torch.no_grad():
        layer.weight.fill_(0.5)
        wanted = layer(x)
    recipe = load_recipe("digital").model_copy(update={"drift": float(30 * 86400)})
    assert not recipe.imposes_nothing
    prepare(layer, on, recipe=recipe, example_inputs={"input": x})
    with torch.no_grad():
        assert torch.allclose(layer.eval()(x), wanted)
        found = layer.train()(x) / wanted
    assert found.flatten().tolist() == pytest.approx([restored] * 2, abs=5e-3)


def test_noise_after_drift_is_a_sessions():
    """Output noise beside the sums of equal weights: 2,560 numbers, so deviations are known to 1.4 %."""
    silent = ["device__programming__scale", "device__accumulated_noise__scale", "tile__short_term_read_noise"]
    silent += [f"device__drift__exponent_spread__{name}" for name in ("slope", "intercept", "minimum", "maximum")]
    on = variant("pcm-512", **dict.fromkeys(silent, 0), drift_compensation="global")
    layer, x = nn.Linear(100, 40), torch.randn(64, 100, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer.weight.copy_(layer.weight.sign() / 20)
    session = tilewright.Session(tilewright.compile(layer, on, example_inputs={"input": x}), seed=0)
    recipe = load_recipe("device-noise").model_copy(update={"weight_noise": None})
    prepare(layer, on, recipe=recipe, example_inputs={"input": x})
    with torch.no_grad():
        exact = layer.eval()(x)
        made = float((layer.train()(x) - exact).std())
        conditions_of(layer).progress = 0.0
        fresh = float((layer(x) - exact).std())
    wanted = {
        time: float((next(iter(session.advance_to(time)(input=x).values())) - exact).std()) for time in (0, "1mo")
    }
    assert made == pytest.approx(wanted["1mo"], rel=0.06)
    assert fresh == pytest.approx(wanted[0], rel=0.06)
    assert made / fresh > 1.5  # the ADC's part of it 1 / .5617
