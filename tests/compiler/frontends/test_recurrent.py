"""Recurrent layers of torch: the network itself on ideal tiles at every length, and on chips one set of devices."""

import pytest
import torch
from torch import nn

import tilewright
from tilewright.compiler.network.double_precision import in_double
from tilewright.targets.errors import InputError

WIDE, HIDDEN = 6, 10


class Tagger(nn.Module):
    """A recurrent layer, and a linear one behind it. Sequences have steps first, unless told otherwise."""

    def __init__(self, kind, **options):
        super().__init__()
        self.recurrent = kind(WIDE, HIDDEN, **options)
        size = options.get("proj_size", HIDDEN) * (2 if options.get("bidirectional") else 1)
        self.last = nn.Linear(size, 3)

    def forward(self, x):
        return self.last(self.recurrent(x)[0])


def saved(model, target, examples, folder, **options):
    plan = tilewright.compile(model, target, example_inputs=examples, cache=False, **options)
    return tilewright.load(plan.save(folder / "plan", overwrite=True))


LAYERS = [
    (nn.LSTM, {}),
    (nn.LSTM, {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    (nn.LSTM, {"proj_size": 4, "bias": False}),
    (nn.GRU, {"bidirectional": True}),
    (nn.GRU, {"num_layers": 2, "bias": False, "batch_first": True}),
    (nn.RNN, {"nonlinearity": "tanh"}),
    (nn.RNN, {"nonlinearity": "relu", "bidirectional": True}),
]


@pytest.mark.parametrize(("kind", "options"), LAYERS, ids=lambda one: getattr(one, "__name__", str(one)))
def test_recurrent_layers_are_the_network_at_every_length(kind, options, tmp_path):
    torch.manual_seed(1)
    model = Tagger(kind, **options).eval()
    first = options.get("batch_first", False)
    plan = saved(model, "ideal", torch.randn(3, 5, WIDE) if first else torch.randn(5, 3, WIDE), tmp_path)
    session = tilewright.Session(plan)
    for batch, steps in ((3, 5), (2, 9), (1, 1), (4, 1)):
        x = torch.randn(batch, steps, WIDE) if first else torch.randn(steps, batch, WIDE)
        with torch.no_grad():
            assert torch.allclose(session(x=x)["output"], model(x), atol=1e-5)
    sizes = ["batch", "sequence"] if first else ["sequence", "batch"]
    assert plan.document.inputs[0].shape[:2] == sizes
    assert {weight.place for weight in plan.document.weights_of_model if "weight" in weight.name} == {"analog"}


def test_cells_in_a_models_own_code_are_one_layer(tmp_path):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = nn.ModuleList([nn.LSTMCell(WIDE, HIDDEN), nn.GRUCell(HIDDEN, 5), nn.RNNCell(HIDDEN, 4)])

        def forward(self, x, hidden, cell):
            for step in range(3):
                hidden, cell = self.cells[0](x[:, step], (hidden, cell))
            return self.cells[1](hidden), self.cells[2](hidden)

    model = Own().eval()
    given = (torch.randn(2, 3, WIDE), torch.randn(2, HIDDEN), torch.randn(2, HIDDEN))
    plan = saved(model, "ideal", given, tmp_path)
    assert {layer.name: len(layer.uses) for layer in plan.document.layers}["cells.0.weight_hh"] == 3
    found = tilewright.Session(plan)(*given)
    for output, wanted in zip(found.values(), model(*given), strict=True):
        assert torch.allclose(output, wanted, atol=1e-5)


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(2)
    return tilewright.compile(
        Tagger(nn.GRU, batch_first=True).eval(), example_inputs=torch.randn(4, 5, WIDE), cache=False
    )


def test_reads_are_named_by_sample_and_step(plan):
    x, session = torch.randn(3, 6, WIDE), tilewright.Session(plan, 5)
    together = session.run({"x": x}, samples=[0, 1, 2])["output"]
    for sample in range(3):
        alone = session.run({"x": x[sample : sample + 1]}, samples=[sample])["output"]
        assert torch.equal(together[sample : sample + 1], alone)
    shorter = session.run({"x": x[:, :4]}, samples=[0, 1, 2])["output"]
    assert torch.equal(shorter, together[:, :4])  # a step does not see how many follow


def test_each_step_reads_the_same_devices_with_noise_of_its_own(plan):
    """A constant input to a layer that forgets nothing: what differs from step to step is the noise of reads."""
    session = tilewright.Session(plan, 5)
    seen = []
    layer = session.module.get_submodule("on_tiles.recurrent.weight_hh_l0")
    handle = layer.register_forward_hook(lambda _module, given, result: seen.append((given[0], result)))
    session.run({"x": torch.zeros(1, 4, WIDE)}, samples=[0])
    handle.remove()
    assert len(seen) == 4
    still = torch.zeros(1, HIDDEN)
    reads = []
    from tilewright.runtime.chip.samples import reading, stepping

    for step in (0, 0, 1):
        with torch.inference_mode(), reading([0]), stepping(step):
            reads.append(layer(still, 0))
    assert torch.equal(reads[0], reads[1])
    assert not torch.equal(reads[0], reads[2])


def test_operations_and_costs_count_every_step(plan):
    one, many = (tilewright.count_operations(plan, {"sequence": steps}) for steps in (1, 9))
    assert many.on_tiles == 9 * one.on_tiles
    inside = [call for call in many.calls if call.steps > 1]
    assert [(call.name, call.steps, call.vectors) for call in inside] == [("recurrent.weight_hh_l0", 9, 9)]
    short, long = (tilewright.estimate_cost(plan, {"sequence": steps}) for steps in (1, 9))
    assert long.latency_ns > 5 * short.latency_ns
    assert tilewright.summarise(plan).calls


def test_sensitivities_and_reports_of_loops(plan, tmp_path):
    found = tilewright.measure_sensitivity(
        plan, ["divergence", "gradient"], inputs={"x": torch.randn(4, 5, WIDE)}, repeats=2
    )
    one, other = found.of("divergence"), found.of("gradient")
    for key, value in one.items():
        assert other[key] == pytest.approx(value, rel=0.9), key
    for ending in ("html", "json", "onnx", "md", "csv"):
        assert tilewright.write_report(plan, tmp_path / f"report.{ending}").stat().st_size
    assert "recurrent.weight_hh_l0" in str(tilewright.explain(plan, "recurrent.weight_hh_l0").to_json())


def test_loops_run_in_float64_too():
    from tilewright.compiler.frontends.torch_module import trace_module

    torch.manual_seed(4)
    model, x = Tagger(nn.LSTM, batch_first=True).eval(), torch.randn(3, 5, WIDE)
    traced = trace_module(model, x)
    (found,) = in_double(traced.graph, [x])
    assert found.dtype == torch.float64
    with torch.no_grad():
        assert torch.allclose(found, model.double()(x.double()), atol=1e-12)


def test_packed_sequences_are_one_sentence():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.LSTM(WIDE, HIDDEN, batch_first=True)

        def forward(self, x, lengths):
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return nn.utils.rnn.pad_packed_sequence(self.recurrent(packed)[0], batch_first=True)[0]

    with pytest.raises(InputError, match=r"cannot trace Packed.*packed"):
        tilewright.compile(Packed().eval(), example_inputs=(torch.randn(3, 5, WIDE), torch.tensor([5, 3, 2])))


def test_attention_with_steps_first_names_its_samples():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2)

        def forward(self, x):
            return self.attention(x, x, x)[0]

    plan = tilewright.compile(Attention().eval(), "ideal", example_inputs=torch.randn(5, 3, 8), cache=False)
    assert plan.document.inputs[0].shape == ["sequence", "batch", 8]
    x = torch.randn(7, 130, 8)
    found = tilewright.run(plan, {"x": x}, repeats=1)
    assert found.outputs["output"].shape[1:] == (7, 130, 8)
