"""The exact assignment, against all choices there are; the plan that comes of it; and the search for an accuracy."""

import functools
import itertools
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tilewright
from tests.narrowing import present
from tilewright.compiler.assignment.amounts import parse_budgets, readable
from tilewright.compiler.assignment.exact import closest, keeps, solve
from tilewright.compiler.assignment.greedy import GREEDY
from tilewright.compiler.assignment.problem import LATENCY, LOSS, Call, Option, Problem
from tilewright.compiler.cli import main
from tilewright.compiler.cost import estimate_cost
from tilewright.compiler.cost.schedule import Schedule
from tilewright.compiler.sensitivity import measure_sensitivity
from tilewright.compiler.sensitivity.divergence import Divergence
from tilewright.compiler.sensitivity.samples import samples_of
from tilewright.runtime.plan.decisions import UNITS
from tilewright.runtime.tasks import Task
from tilewright.runtime.tasks.finding import TASKS
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_chip, load_cost

X = torch.randn(64, 40, generator=torch.Generator().manual_seed(0))
choose = functools.partial(tilewright.assign, validate=False)
NUMBERS = st.floats(0, 1e3, allow_nan=False).map(lambda value: round(value, 3))


@st.composite
def problems(draw):
    """Up to five layers on up to three targets, in a random order of calls."""
    layers = [f"l{n}" for n in range(draw(st.integers(1, 5)))]
    targets = ["a", "b", "c"][: draw(st.integers(1, 3))]
    options = {
        layer: [Option(layer, target, {key: draw(NUMBERS) for key in UNITS}) for target in targets] for layer in layers
    }
    calls = [Call(layer, layer, 1.0) for layer in layers] + [Call("attention", None, draw(NUMBERS))]
    before = {}
    for place, call in enumerate(calls):
        earlier = [other.node for other in calls[:place]]
        before[call.node] = tuple(draw(st.lists(st.sampled_from(earlier), unique=True, max_size=2))) if earlier else ()
    macs = {layer: draw(st.integers(1, 10**6)) for layer in layers}
    return Problem(options, macs, {"energy": draw(NUMBERS)}, calls, Schedule(before))


def all_choices(problem):
    for targets in itertools.product(*problem.options.values()):
        yield {option.layer: option.target for option in targets}


@settings(max_examples=150, deadline=None)
@given(problem=problems(), minimise=st.sampled_from(list(UNITS)), data=st.data())
def test_the_exact_choice_is_the_best_of_all(problem, minimise, data):
    """Nothing is better for random problems and budgets, greedy choices included, or there is no choice at all."""
    others = [name for name in UNITS if name != minimise]
    names = data.draw(st.lists(st.sampled_from(others), unique=True, max_size=2))
    figures = [problem.figures(choice) for choice in all_choices(problem)]
    budgets = {}
    for name in names:
        budgets[name] = data.draw(st.sampled_from([f[name] for f in figures])) * data.draw(
            st.sampled_from([0.8, 1, 1.2])
        )
    possible = [f[minimise] for f in figures if keeps(f, budgets)]
    choice = solve(problem, minimise, budgets)
    if not possible:
        assert choice is None
        return
    assert choice is not None
    assert keeps(problem.figures(choice), budgets)
    best = problem.figures(choice)[minimise]
    assert best <= min(possible) + 1e-6 * max(abs(f[minimise]) for f in figures)
    for greedy in GREEDY.values():
        found = greedy(problem, minimise, budgets)
        if found is not None:
            assert keeps(problem.figures(found), budgets)
            assert best <= problem.figures(found)[minimise] * (1 + 1e-6) + 1e-6


@settings(max_examples=60, deadline=None)
@given(problem=problems(), data=st.data())
def test_the_closest_choice_exceeds_its_budgets_least(problem, data):
    names = data.draw(st.lists(st.sampled_from(list(UNITS)), unique=True, min_size=1, max_size=2))
    budgets = {name: data.draw(st.floats(1, 100)) for name in names}

    def excess(choice):
        figures = problem.figures(choice)
        return max(0.0, *(figures[name] / budget - 1 for name, budget in budgets.items()))

    assert excess(closest(problem, budgets)) <= min(map(excess, all_choices(problem))) * (1 + 1e-5) + 1e-5


def test_latency_is_the_longest_path_and_not_the_sum():
    """Two layers side by side: only the slower one needs the fast target."""
    slow, fast = {"latency": 10.0, "loss": 0.0}, {"latency": 4.0, "loss": 1.0}
    zero = dict.fromkeys(UNITS, 0.0)
    options = {
        "long": [Option("long", "slow", {**zero, **slow}), Option("long", "fast", {**zero, **fast})],
        "short": [Option("short", "slow", {**zero, "latency": 6.0}), Option("short", "fast", {**zero, **fast})],
    }
    order = Schedule({"long": (), "short": (), "end": ("long", "short")})
    calls = [Call("long", "long", 1.0), Call("short", "short", 1.0), Call("end", None, 1.0)]
    problem = Problem(options, {"long": 1, "short": 1}, {}, calls, order)
    assert solve(problem, LOSS, {LATENCY: 7.0}) == {"long": "fast", "short": "slow"}
    assert solve(problem, LOSS, {LATENCY: 6.9}) == {"long": "fast", "short": "fast"}
    assert solve(problem, LOSS, {LATENCY: 4.9}) is None
    assert problem.figures({"long": "slow", "short": "slow"})[LATENCY] == 11


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(40, 600), nn.GELU(), nn.Linear(600, 200), nn.GELU(), nn.Linear(200, 8)).eval()
    return tilewright.compile(network, "pcm-512-mixed", example_inputs=X)


@pytest.fixture(scope="module")
def sensitivity(plan):
    return measure_sensitivity(plan, ["divergence", "gradient"], inputs={"input": X}, time="1d")


def test_the_plan_says_what_was_chosen_why_and_instead_of_what(plan, sensitivity, tmp_path):
    made = choose(plan, sensitivity, budgets={"energy": "120nJ"}, sizes={"batch": 4})
    saved = tilewright.load(made.plan.save(tmp_path / "plan"))
    record = present(saved.document.assignment)
    assert (record.method, record.criterion, record.minimise) == ("exact", "divergence", "loss")
    predicted = record.predicted
    assert predicted["energy"] <= 120
    assert predicted["energy"] == pytest.approx(made.predicted["energy"], rel=1e-5)
    cost = estimate_cost(saved, {"batch": 4})
    assert cost.energy_nj == pytest.approx(made.predicted["energy"])
    assert cost.latency_ns == pytest.approx(made.predicted["latency"])
    assert sum(layer.tile_count for layer in saved.document.layers) == made.predicted["tiles"]
    assert {"macs", "rank", "all on pcm-512", "all on digital-int8"} <= set(record.compared)
    for layer in saved.document.layers:
        (decision,) = [d for d in saved.document.decisions if d.made_by == "assign_targets" and d.subject == layer.name]
        assert decision.choice == layer.target == made.choice[layer.name]
        assert "energy at most 120 nJ" in decision.reason
        assert "divergence" in decision.reason
        assert {other.choice for other in decision.rejected} == {o.target for o in layer.options} - {layer.target}
        figures = {figure.name: figure.value for figure in decision.figures}
        assert figures["loss"] == pytest.approx(sensitivity.of("divergence")[layer.name, layer.target], rel=1e-5)
        assert all(len(other.figures) == len(UNITS) for other in decision.rejected)
    story = " ".join(tilewright.explain(saved, "2").sentences)
    assert "energy at most 120 nJ" in story
    assert "rejected" in story


def test_more_budget_never_hurts_and_exact_beats_greedy(plan, sensitivity):
    cheapest = choose(plan, sensitivity, minimise="energy", sizes={"batch": 4}).predicted
    precise = choose(plan, sensitivity, sizes={"batch": 4}).predicted
    losses = []
    for share in (0.0, 0.02, 0.1, 0.3, 0.6, 1.0):
        budget = cheapest["energy"] + share * (precise["energy"] - cheapest["energy"])
        made = choose(plan, sensitivity, budgets={"energy": budget}, sizes={"batch": 4})
        losses.append(made.predicted["loss"])
        for name in GREEDY:
            other = made.compared[name]
            assert other is None or made.predicted["loss"] <= other["loss"] * (1 + 1e-9)
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(cheapest["loss"])
    assert losses[-1] == pytest.approx(precise["loss"])


def test_layers_that_are_fixed_stay(plan, sensitivity):
    made = choose(plan, sensitivity, fixed={"*": "pcm-512", "4": "digital-int8"}, sizes={"batch": 4})
    assert made.choice == {"0": "pcm-512", "2": "pcm-512", "4": "digital-int8"}
    free = choose(plan, sensitivity, fixed={"2": "pcm-512"}, sizes={"batch": 4})
    assert free.choice["2"] == "pcm-512"
    assert free.predicted["loss"] < made.predicted["loss"]
    with pytest.raises(InputError, match="matches no layer"):
        choose(plan, sensitivity, fixed={"7": "pcm-512"})
    with pytest.raises(InputError, match="layer '2' cannot run on 'pcm-51'; did you mean 'pcm-512'"):
        choose(plan, sensitivity, fixed={"2": "pcm-51"})


def test_greedy_methods_can_be_had(plan, sensitivity):
    for method in GREEDY:
        made = choose(plan, sensitivity, minimise="energy", budgets={"loss": 0.01}, method=method, sizes={"batch": 4})
        assert made.record.method == method
        assert "exact" in made.compared
        assert present(made.compared["exact"])["energy"] <= made.predicted["energy"] * (1 + 1e-9)


def test_the_prediction_is_what_comes_out(plan, sensitivity):
    """Within a third, on eight chips of another seed."""
    made = choose(plan, sensitivity, budgets={"tiles": 3})
    again = tilewright.assign(plan, sensitivity, budgets={"tiles": 3}, inputs={"input": X}, time="1d", repeats=8)
    found = again.record.measured
    assert found is not None
    assert made.predicted["tiles"] <= 3
    assert made.record.measured is None
    assert found.divergence == pytest.approx(made.predicted["loss"], rel=0.33)
    assert found.standard_error is not None
    assert (found.chips, found.seed) == (8, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budgets": {"energy": "0.1nJ"}}, r"no assignment has energy at most 100 pJ; the closest has energy \d"),
        ({"budgets": {"loss": 0, "tiles": 0}}, "loss at most 0 and tiles at most 0; the closest has loss"),
        ({"budgets": {"enrgy": 1}}, "did you mean 'energy'"),
        ({"minimise": "los"}, "did you mean 'loss'"),
        ({"budgets": {"energy": "5 kWh"}}, "whose unit is not known"),
        ({"budgets": {"energy": "5"}}, "write it with one of: pJ, nJ"),
        ({"budgets": {"tiles": -1}}, "allowed is a number from 0"),
        ({"budgets": {"tiles": "many"}}, "allowed is a number from 0, such as 40"),
        ({"method": "exat"}, "did you mean 'exact'"),
        ({"criterion": "task"}, "criterion 'task' was not measured"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(plan, sensitivity, options, words):
    with pytest.raises(InputError, match=words):
        choose(plan, sensitivity, **options)


def test_without_cost_figures_tiles_and_losses_can_still_be_limited(plan, sensitivity):
    bare = tilewright.Plan(plan.document.model_copy(update={"chip": load_chip("pcm-512-mixed").model_copy(
        update={"cost": None})}), plan.tensors)  # fmt: skip
    made = choose(bare, sensitivity, budgets={"tiles": 2})
    assert made.predicted["tiles"] <= 2
    assert math.isnan(made.predicted["energy"])
    with pytest.raises(InputError, match="name a preset"):
        choose(bare, sensitivity, budgets={"energy": "1uJ"})
    assert choose(bare, sensitivity, budgets={"energy": "1uJ"}, preset=load_cost("projected-14nm")).predicted["energy"]


def test_what_a_preset_does_not_know_is_not_taken_for_free(plan, sensitivity):
    """The HERMES core's figures say nothing of digital units: these must not win for costing nothing."""
    hermes = load_cost("hermes-measured")
    with pytest.raises(InputError, match="hermes-measured says nothing of the energy of pcm-512, so it can be neither"):
        choose(plan, sensitivity, minimise="energy", preset=hermes)
    torch.manual_seed(0)
    small = tilewright.compile(nn.Linear(40, 8), "hermes-64", example_inputs=X)
    figures = measure_sensitivity(small, ["gradient"], inputs={"input": X})
    for options in ({"minimise": "energy"}, {"budgets": {"latency": "1us"}}):
        with pytest.raises(InputError, match=r"hermes-measured says nothing of the (energy|latency) of digital-int8"):
            choose(small, figures, **options)
    made = choose(small, figures, minimise="tiles")
    assert made.predicted["tiles"] == 0
    assert math.isnan(made.predicted["energy"])
    assert "energy" not in made.record.predicted
    assert readable("energy", made.predicted["energy"]) == "unknown"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("energy", "60uJ", 6e4), ("energy", "1.5 mJ", 1.5e6), ("latency", "250us", 2.5e5), ("loss", "1%", 0.01),
     ("tiles", "40", 40), ("digital-macs", "1.2e9", 1.2e9), ("digital-macs", "3 M", 3e6), ("area", "12mm2", 12)],
)  # fmt: skip
def test_amounts_are_read_and_written(name, text, value):
    amount = parse_budgets({name: text})[name]
    assert amount == pytest.approx(value)
    if UNITS[name] in ("nJ", "ns"):
        assert parse_budgets({name: readable(name, amount)})[name] == pytest.approx(value)
    assert not math.isnan(amount)


class Agreement(Task):
    """A task of which one knows the answer: 100 for the network's own outputs, less as they diverge."""

    metric, samples, labels = (
        tilewright.Metric("agreement", lambda *_: 0.0, 0.0),
        [{"input": x} for x in X],
        [0.0] * len(X),
    )

    def __init__(self, plan, data, limit):
        self.divergence = Divergence(plan, samples_of(plan, {"input": X}, len(X)))

    def read(self, inputs, outputs):
        raise NotImplementedError

    def measure(self, session, batch_size):
        return 100 * (1 - self.divergence.of(session))


def search(plan, sensitivity, wanted, **given):
    return choose(plan, sensitivity, accuracy=wanted, **given)


@pytest.fixture
def agreement(monkeypatch, tmp_path):
    monkeypatch.setitem(TASKS, "agreement", Agreement)
    path = tmp_path / "data"
    path.write_text("known")
    return {"task": "agreement", "data": path, "time": "1d", "repeats": 4, "sizes": {"batch": 4}}


@pytest.mark.parametrize("wanted", [0.9, 0.99, 0.999, 0.99999])
def test_the_search_finds_the_least_cost_that_passes(plan, sensitivity, agreement, wanted):
    """The choice passes on chips that had no part in the search, and on others again."""
    found = search(plan, sensitivity, wanted, **agreement)
    record = present(found.record.accuracy)
    last = found.trials[-1]
    assert last.passes
    assert last.seed > 0
    assert record.seed == last.seed
    assert record.lower_bound >= wanted
    assert record.normalised == pytest.approx(record.mean / 100)
    assert record.digital == 100
    assert present(found.plan.document.assignment).accuracy == record
    uniform = [present(figures)["energy"] for name, figures in found.compared.items() if name.startswith("all on")]
    assert found.predicted["energy"] <= max(uniform)
    fresh = tilewright.Session(found.plan, 77).advance_to("1d")
    assert Agreement(plan, None, None).measure(fresh, 8) > 100 * (1 - 2 * (1 - wanted))


def test_what_fails_on_fresh_chips_is_not_taken(plan, sensitivity, agreement, monkeypatch):
    """The cheapest assignment passes by the luck of its first chips alone: the search goes on to more precise ones."""
    lucky = Agreement.measure

    def measure(self, session, batch_size):
        all_tiles = all(layer.target == "pcm-512" for layer in session.plan.document.layers)
        return lucky(self, session, batch_size) - (50 if all_tiles and session.seed else 0)

    monkeypatch.setattr(Agreement, "measure", measure)
    found = search(plan, sensitivity, 0.9, minimise="digital-macs", **agreement)
    assert [trial.passes for trial in found.trials[:2]] == [True, False]
    assert found.trials[-1].passes
    assert found.trials[-1].seed > found.trials[1].seed
    assert set(found.choice.values()) != {"pcm-512"}


def test_one_call_searches_and_validates(plan, sensitivity, agreement):
    found = tilewright.assign(plan, sensitivity, accuracy="90%", inputs={"input": X}, **agreement)
    direct = search(plan, sensitivity, 0.9, **agreement)
    assert found.trials == direct.trials
    assert found.record.accuracy == direct.record.accuracy
    assert found.choice == direct.choice
    assert found.record.measured is not None
    assert len(found.to_json()["trials"]) == len(found.trials)


def test_the_command_searches_as_the_function_does(plan, agreement, tmp_path, monkeypatch, capsys):
    plan.save(tmp_path / "plan")
    np.savez(tmp_path / "x.npz", input=X.numpy())
    monkeypatch.chdir(tmp_path)
    given = "plan -o new --accuracy 90% --task agreement --data data --time 1d --repeats 4 --at batch=4 --inputs x.npz"
    monkeypatch.setattr(sys, "argv", ["tilewright", "assign", *given.split()])
    with pytest.raises(SystemExit) as leaving:
        main()
    out, said = capsys.readouterr()
    assert not leaving.value.code, said
    found = tilewright.assign(plan, accuracy=0.9, inputs={"input": X}, **agreement)
    assert tilewright.load("new").document.assignment == found.record
    assert said.count("passes") == sum(trial.passes for trial in found.trials)
    assert f"A* {present(found.record.accuracy).normalised:.2%}" in out
    assert "fresh chips" in out


def test_less_accuracy_costs_less(plan, sensitivity, agreement):
    energies = [
        search(plan, sensitivity, wanted, **agreement).predicted["energy"] for wanted in (0.9, 0.99, 0.999, 0.99999)
    ]
    assert energies == sorted(energies)
    assert energies[0] < energies[-1]


def test_an_accuracy_that_nothing_reaches_is_one_sentence(agreement):
    torch.manual_seed(0)
    analog = tilewright.compile(nn.Linear(40, 8), "pcm-512", example_inputs=X)
    figures = measure_sensitivity(analog, ["gradient"], inputs={"input": X}, time="1d")
    words = r"no assignment was found with A\* of 99.99% or more at 95% confidence; the closest has 9\d.\d\d%"
    with pytest.raises(InputError, match=words):
        search(analog, figures, 0.9999, **agreement)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"repeats": 1}, "at least 2 chips"), ({"confidence": 1.0}, "with confidence 1"),
     ({"minimise": "loss"}, "minimise energy"), ({"task": "stsc"}, "did you mean 'stsb'|allowed")],
)  # fmt: skip
def test_wrong_searches_are_one_sentence(plan, sensitivity, agreement, changes, words):
    with pytest.raises(InputError, match=words):
        search(plan, sensitivity, 0.9, **{**agreement, **changes})


def test_a_search_that_was_cut_off_goes_on(plan, sensitivity, agreement, tmp_path, monkeypatch):
    saved = tilewright.load(plan.save(tmp_path / "plan"))

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(saved, sensitivity, 0.999, on_trial=stop, **agreement)
    whole = search(saved, sensitivity, 0.999, **agreement)
    monkeypatch.setattr("tilewright.runtime.measuring.chip_work.Bench._measured", lambda *_: 1 / 0)
    assert search(saved, sensitivity, 0.999, **agreement).trials == whole.trials


def test_a_millionth_of_a_budget_counts():
    """The solver takes 1e-6 for nothing: a choice that is over the budget by .001 of 1000 must not be taken."""

    def option(layer, target, **figures):
        return Option(layer, target, dict.fromkeys(UNITS, 0.0) | figures)

    options = {
        "l0": [option("l0", "a"), option("l0", "b", area=2.0), option("l0", "c", area=0.001)],
        "l1": [option("l1", "a", latency=1.0), option("l1", "b", area=685.0)],
        "l2": [option("l2", "a", latency=1.0), option("l2", "b", area=315.0), option("l2", "c", energy=1.0)],
    }
    calls = [Call(layer, layer, 1.0) for layer in options]
    problem = Problem(options, dict.fromkeys(options, 1), {}, calls, Schedule({call.node: () for call in calls}))
    choice = solve(problem, "energy", {"latency": 0.8, "area": 1000.0})
    assert choice == {"l0": "a", "l1": "b", "l2": "b"}
