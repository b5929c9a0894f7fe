"""Models that branch on sizes: at every size the plan is the model, or says at which it is."""

from functools import wraps
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional

import tilewright
from tilewright.compiler.report.summary import summarise
from tilewright.compiler.report.warnings import warnings_of
from tilewright.targets.errors import InputError


class Network(nn.Module):
    """One layer, and what a test makes of it."""

    def __init__(self, forward, layer=None):
        super().__init__()
        self.layer = layer if layer is not None else nn.Linear(4, 3)
        self.computed = forward

    def forward(self, x):
        return self.computed(self.layer, x)


def times(what):
    return lambda layer, x: layer(x) * (2.0 if what(x) else 1.0)


def padded_if_odd(layer, x):
    return layer(functional.pad(x, (0, 0, 0, 1)) if x.shape[1] % 2 else x)


def padded_to_a_multiple(layer, x):
    x = functional.pad(x, (0, 0, 0, -x.shape[1] % 4))
    return layer(x.view(x.shape[0], x.shape[1] // 4, 4, 4)).mean(2)


def up_and_down(layer, x):
    return functional.interpolate(layer(x), scale_factor=2.0) + x


TEXT, IMAGE = (3, 4, 4), (2, 3, 8, 6)
CASES = {
    # what it does, its example, conditions, least sizes
    "padding": (padded_if_odd, TEXT, ["sequence % 2 == 0"], {}),
    "odd or even": (times(lambda x: x.shape[1] % 2), TEXT, ["sequence % 2 == 0"], {}),
    "a multiple": (times(lambda x: x.shape[1] % 4 == 0), (3, 8, 4), ["sequence % 4 == 0"], {}),
    "at least": (times(lambda x: x.shape[1] >= 4), TEXT, [], {"sequence": 4}),
    "at most": (times(lambda x: x.shape[1] <= 5), TEXT, [], {}),
    "a product": (times(lambda x: x.shape[0] * x.shape[1] > 20), TEXT, ["batch * sequence <= 20"], {}),
    "alike": (times(lambda x: x.shape[0] == x.shape[1]), TEXT, ["batch != sequence"], {}),
    "alike, traced so": (times(lambda x: x.shape[0] == x.shape[1]), (3, 3, 4), None, {}),
    "one size apart": (times(lambda x: x.shape[1] == 5), TEXT, ["sequence != 5"], {}),
    "a length of one apart": (times(lambda x: x.shape[1] == 1), TEXT, [], {"sequence": 2}),
    "a batch of one apart": (times(lambda x: x.shape[0] == 1), TEXT, [], {"batch": 2}),
    "a batch of one apart, traced so": (times(lambda x: x.shape[0] == 1), (1, 4, 4), [], {}),
    "both of one apart": (times(lambda x: x.numel() == 4), TEXT, ["max(batch, sequence) >= 2"], {}),
    "a fraction": (times(lambda x: x.shape[1] / x.shape[0] > 1.25), TEXT, ["4 * sequence > 5 * batch"], {}),
    "no whole number": (times(lambda x: x.shape[1] ** 0.5 > 1.9), TEXT, ["sequence == 4"], {}),
    "no question at all": (times(lambda _: False), TEXT, [], {"batch": 1, "sequence": 1}),
    "padding by arithmetic": (padded_to_a_multiple, (2, 7, 4), [], {"batch": 1, "sequence": 1}),
    "the last three": (lambda layer, x: layer(x[:, -3:]), (2, 7, 4), [], {"batch": 1, "sequence": 1}),
    "halves": (lambda layer, x: torch.cat(layer(x).chunk(2, 1)[::-1], 1), (2, 7, 4), [], {"batch": 1, "sequence": 2}),
    "a network with strides": (
        lambda layer, x: torch.relu(layer(x)).mean((2, 3)),
        IMAGE, [], {"batch": 1, "size_2": 1, "size_3": 1},
    ),
    "up again": (up_and_down, IMAGE, ["size_2 % 2 == 0", "size_3 % 2 == 0"], {"batch": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_the_model_or_refuses(name):
    forward, shape, conditions, least = CASES[name]
    layer = nn.Conv2d(3, 3, 3, stride=2, padding=1) if len(shape) == 4 else nn.Linear(4, 3)
    model = Network(forward, layer).eval()
    plan = tilewright.compile(model, "ideal", example_inputs=torch.randn(shape))
    assert conditions is None or plan.document.size_conditions == conditions
    assert {key: plan.document.dimensions[key].minimum for key in least} == least
    session, right = tilewright.Session(plan, ideal=True), 0
    (record,) = plan.document.inputs
    sizes = {"batch": range(1, 5), "sequence": range(1, 10), "size_2": (1, 2, 5, 8), "size_3": (1, 2, 3, 6, 9)}
    for chosen in product(*(sizes[size] if isinstance(size, str) else [size] for size in record.shape)):
        x = torch.randn(chosen)
        try:
            (found,) = session(x=x).values()
        except InputError:
            continue
        torch.testing.assert_close(found, model(x), rtol=1e-4, atol=1e-4)
        right += 1
    assert right >= 3


def test_sizes_that_are_sums_of_others_stay_so():
    class Joined(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x, half):
            return self.layer(x) + self.layer(torch.cat([half, half], 1))

    model = Joined()
    plan = tilewright.compile(model, "ideal", example_inputs=(torch.randn(2, 6, 4), torch.randn(2, 3, 4)))
    assert plan.document.size_conditions == ["2 * size_2 == sequence"]
    session = tilewright.Session(plan, ideal=True)
    x, half = torch.randn(1, 8, 4), torch.randn(1, 4, 4)
    torch.testing.assert_close(session(x=x, half=half)["output"], model(x, half))
    with pytest.raises(InputError, match=r"2 \* size_2 == sequence holds"):
        session(x=torch.randn(1, 7, 4), half=half)


def test_a_folder_that_branches_is_compared_only_where_it_was_traced(tmp_path, monkeypatch):
    """Examples of other sizes, on which the graph is compared with the model, would be of other branches."""
    import transformers

    plain = transformers.BertModel.forward

    @wraps(plain)
    def forward(self, input_ids=None, **others):
        found = plain(self, input_ids=input_ids, **others)
        found.last_hidden_state = found.last_hidden_state * (2.0 if input_ids.shape[1] % 2 == 0 else 1.0)
        return found

    transformers.BertModel(
        transformers.BertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=20
        )
    ).save_pretrained(tmp_path)
    monkeypatch.setattr(transformers.BertModel, "forward", forward)
    plan = tilewright.compile(tmp_path, "ideal")
    assert plan.document.size_conditions == ["sequence % 2 != 0"]
    assert any("calibration samples were left out" in note for note in plan.document.notes)
    assert plan.document.calibration.samples < 32


def test_samples_that_do_not_fit_are_left_out_or_refused():
    model = Network(padded_if_odd)
    example = torch.randn(2, 4, 4)
    with pytest.raises(InputError, match=r"none of the calibration samples .* sequence is 5"):
        tilewright.compile(model, "ideal", example_inputs=example, calibration={"x": torch.randn(3, 5, 4)})
    plan = tilewright.compile(model, "ideal", example_inputs=example, calibration={"x": torch.randn(3, 6, 4)})
    assert plan.document.calibration.samples == 3
    assert plan.document.notes == []
    pairs = Network(times(lambda x: x.shape[0] == 1))
    plan = tilewright.compile(pairs, "ideal", example_inputs=example, calibration={"x": torch.randn(3, 6, 4)})
    assert plan.document.dimensions["batch"].minimum == 2
    assert plan.document.calibration.samples == 3
    assert plan.document.layers[0].uses[0].sample_axis is not None


def test_counts_costs_and_reports_know_the_sizes():
    model = Network(padded_if_odd)
    plan = tilewright.compile(model, example_inputs=torch.randn(2, 5, 4))
    assert tilewright.count_operations(plan).sizes == {"batch": 1, "sequence": 127}
    with pytest.raises(InputError, match=r"sequence is 8, .*sequence % 2 != 0 holds.*allowed for sequence: 7 and 9"):
        tilewright.estimate_cost(plan, {"sequence": 8})
    report = summarise(plan)
    assert report.sizes == {"batch": (1, None), "sequence": (1, None)}
    assert report.size_conditions == ["sequence % 2 != 0"]
    old = tilewright.Plan(plan.document.model_copy(update={"size_conditions": None}), plan.tensors)
    assert any("older version" in warning for warning in warnings_of(old))
    assert not any("older version" in warning for warning in warnings_of(plan))
    assert tilewright.count_operations(old, {"sequence": 8}).sizes["sequence"] == 8


def test_without_weights_all_questions_are_kept():
    with torch.device("meta"):
        model = Network(padded_if_odd)
        plan = tilewright.compile(model, example_inputs=torch.randn(2, 4, 4))
    assert plan.document.size_conditions == ["sequence % 2 == 0"]
    assert plan.document.dimensions["batch"].minimum == 1


def test_what_a_pass_asks_is_known():
    """A question of the compiler's own code about a size, while passes run, becomes a condition too."""
    from tilewright.compiler import steps

    def asking(compilation):
        (x,) = [node for node in compilation.graph.graph.nodes if node.op == "placeholder"]
        assert x.meta["val"].shape[1] != 7

    kept = list(steps.LOWERING)
    steps.LOWERING.insert(1, asking)
    try:
        plan = tilewright.compile(Network(padded_if_odd), "ideal", example_inputs=torch.randn(2, 4, 4))
    finally:
        steps.LOWERING[:] = kept
    assert plan.document.size_conditions == ["sequence % 2 == 0", "sequence != 7"]
