"""Costs against what one can work out by hand from the presets' figures."""

import pytest
import torch
from torch import nn

import tilewright
from tests.conftest import small_bert_config
from tests.narrowing import present
from tilewright.compiler.cost import estimate_cost
from tilewright.compiler.cost.schedule import schedule
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_chip, load_cost, target_names


class TwoWays(nn.Module):
    """Two layers side by side, then one of both, then one used twice."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(64, 600), nn.Linear(600, 600)
        self.both, self.twice = nn.Linear(600, 8), nn.Linear(8, 8)

    def forward(self, x, y):
        return self.twice(torch.relu(self.twice(self.both(torch.relu(self.left(x)) + self.right(y)))))


@pytest.fixture(scope="module")
def two_ways():
    torch.manual_seed(0)
    return tilewright.compile(TwoWays().eval(), example_inputs=(torch.randn(4, 64), torch.randn(4, 600)))


def test_layers_cost_their_reads(two_ways):
    found = estimate_cost(two_ways, {"batch": 3})
    costs = {layer.name: layer for layer in found.layers}
    assert {name: cost.tiles for name, cost in costs.items()} == {"left": 2, "right": 4, "both": 2, "twice": 1}
    assert costs["right"].reads == 12
    assert costs["twice"].reads == 6
    assert costs["right"].energy_nj["array+dac+adc"] == pytest.approx(12 * 5.2)
    assert costs["right"].energy_nj["scale_and_sum"] == pytest.approx(3 * 2 * 600 * 0.345e-3)
    assert costs["right"].area_mm2 == pytest.approx(4 * 1.2)
    assert found.energy_nj == pytest.approx(sum(cost.total_nj for cost in costs.values()))
    assert found.area_mm2 == pytest.approx(9 * 1.2)
    assert found.operations_per_joule == pytest.approx(2e9 * found.macs / found.energy_nj)


def test_what_runs_side_by_side_takes_its_time_once(two_ways):
    """left and right together, then both, then twice two times: four steps of three vectors at 40 ns."""
    found = estimate_cost(two_ways, {"batch": 3})
    assert found.latency_ns == pytest.approx(4 * 3 * 40)
    assert found.interval_ns == pytest.approx(2 * 3 * 40), "the layer that is used twice is the busiest"
    assert found.samples_per_second == pytest.approx(3e9 / found.interval_ns)


def test_the_schedule_knows_direct_predecessors_alone(two_ways):
    order = schedule(two_ways)
    calls = list(order.before)
    assert len(calls) == 5
    assert sorted(map(len, order.before.values())) == [0, 0, 1, 1, 2]
    assert order.before[calls[-1]] == (calls[-2],)


def test_residual_streams_leave_one_predecessor_a_step(small_plan):
    order = schedule(small_plan)
    assert max(map(len, order.before.values())) <= 2, "scores wait for Q, K, V; contexts for scores and Q, K, V"
    positions = {node: place for place, node in enumerate(order.before)}
    assert all(positions[earlier] < positions[node] for node, before in order.before.items() for earlier in before)


@pytest.mark.parametrize("sequence", [8, 64])
def test_attention_costs_its_products(small_plan, sequence):
    config = small_bert_config()
    found = estimate_cost(small_plan, {"sequence": sequence})
    macs = config.num_hidden_layers * 2 * config.hidden_size * sequence**2
    assert found.components["attention"] == pytest.approx(macs * 0.345e-3)
    assert found.attention_nj == pytest.approx(found.components["attention"])
    assert found.tokens == sequence
    last = found.with_cheaper_tiles()[-1]
    assert last["attention_share"] > found.to_json()["attention_share_of_energy"]


def test_int6_costs_what_spoon_says(small_bert_folder):
    costs = {
        bits: estimate_cost(tilewright.compile(small_bert_folder, attention_bits=bits)).attention
        for bits in (6, "bf16")
    }
    energies = {bits: sum(product.energy_nj for product in products) for bits, products in costs.items()}
    assert energies["bf16"] / energies[6] == pytest.approx(11.3, rel=1e-3)
    areas = {bits: present(products[0].relative_area) for bits, products in costs.items()}
    assert areas["bf16"] / areas[6] == pytest.approx(4.7, rel=1e-3)
    assert 1 / present(costs[6][0].relative_energy) == pytest.approx(11.3, rel=1e-3)


def test_layers_on_digital_units_share_them():
    torch.manual_seed(0)
    plan = tilewright.compile(
        nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32)).eval(),
        "pcm-512-mixed",
        example_inputs=torch.randn(4, 32),
        assign={"0": "digital-int8", "2": "digital-fp16"},
    )
    found = estimate_cost(plan, {"batch": 2})
    assert found.layers[0].energy_nj == {"digital_layers": pytest.approx(2 * 1024 * 0.345e-3)}
    assert found.layers[1].energy_nj == {"digital_layers": pytest.approx(2 * 1024 * 2.193e-3)}
    assert found.layers[0].latency_ns == pytest.approx(2048 / (1024 * 16))
    assert found.layers[1].latency_ns == pytest.approx(2048 / (1024 * 4))
    assert found.interval_ns == pytest.approx(2048 / (1024 * 4))
    assert found.area_mm2 == 0


def test_what_is_not_known_is_said(small_plan):
    found = estimate_cost(small_plan, preset="ftj-projected")
    text = "\n".join(found.not_modelled)
    assert "dac: energy and area" in text
    assert "softmax_and_norms" in text
    assert "attention: energy of INT8" in text
    assert set(found.components) == {"array", "adc"}
    assert found.attention_nj == 0
    assert any("read time of a tile 512 ns: our choice" in line for line in found.assumptions)
    elsewhere = estimate_cost(small_plan, preset="hermes-measured")
    assert any("tiles of 512 x 512" in line for line in elsewhere.not_modelled)
    assert elsewhere.energy_nj == 0


def test_measured_figures_of_a_whole_system_are_kept_apart(small_plan):
    found = estimate_cost(small_plan, {"sequence": 16}, "nature-2023-measured")
    reads = sum(layer.reads for layer in found.layers)
    assert found.status == "measured"
    assert found.components["array+dac+adc"] == pytest.approx(reads * 26.2)
    assert found.components["data_movement"] == pytest.approx(reads * 16.1)
    full = 2 * 512 * 512 / 1e3
    assert full / 26.2 == pytest.approx(20.0, rel=1e-2)
    assert full / (26.2 + 16.1) == pytest.approx(12.4, rel=1e-2)
    assert full / (26.2 + 16.1 + 33.3) == pytest.approx(6.94, rel=1e-2)


def test_own_figures_for_what_the_presets_leave_open(small_plan):
    changes = {"softmax_and_norms": {"value": 2, "unit": "pJ", "source": "test"},
               "data_movement": {"value": 1, "unit": "pJ", "source": "test"}}  # fmt: skip
    own = load_cost("projected-14nm").model_dump(mode="json") | changes
    found = estimate_cost(small_plan, {"sequence": 16}, type(load_cost("projected-14nm")).model_validate(own))
    values = sum(tilewright.count_operations(small_plan, {"sequence": 16}).values.values())
    assert values > 0
    assert found.components["softmax_and_norms"] == pytest.approx(values * 2e-3)
    assert found.components["data_movement"] > 0
    assert not any(line.startswith(("softmax", "data_movement")) for line in found.not_modelled)


@pytest.mark.parametrize("name", target_names("cost"))
def test_presets_are_measured_or_projected_and_say_where_from(name):
    preset = load_cost(name)
    assert preset.status in ("measured", "projected")
    assert preset.status in name
    text = str(preset.model_dump(mode="json"))
    assert preset.status == "projected" or "our choice" not in text, "what is measured is not assumed"


def test_a_plan_without_figures_asks_for_a_preset(small_plan):
    document = small_plan.document.model_copy(update={"chip": load_chip("rram-512")})
    bare = tilewright.Plan(document, small_plan.tensors)
    with pytest.raises(InputError, match="nothing is known of the cost of rram-512; name a preset, one of: ftj"):
        estimate_cost(bare)
    with pytest.raises(InputError, match=r"there is no cost preset 'projected-14m'.*did you mean 'projected-14nm'"):
        estimate_cost(small_plan, preset="projected-14m")
