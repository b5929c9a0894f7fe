"""Models become graphs that compute the same."""

import pytest
import torch
from torch import nn

import tilewright
from tests.conftest import padded_batch, small_bert_config
from tilewright.runtime.plan.records import SampleAxis
from tilewright.targets.errors import InputError


def assert_equal_to(model, plan, inputs, tolerance=1e-4):
    with torch.inference_mode():
        expected = model(**inputs)
    outputs = tilewright.Session(plan, ideal=True)(inputs)
    for name, value in outputs.items():
        exact = expected[name] if hasattr(expected, "keys") else expected
        assert ((value - exact).abs().max() / exact.abs().max()).item() < tolerance


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["BertModel", "BertForSequenceClassification", "BertForMaskedLM"])
def test_berts_from_a_folder(tmp_path, kind, attention):
    import transformers

    torch.manual_seed(0)
    model = getattr(transformers, kind)(small_bert_config(attn_implementation=attention)).eval()
    model.save_pretrained(tmp_path / "model")
    plan = tilewright.compile(tmp_path / "model", target="ideal")
    assert plan.document.model.architecture == kind
    assert [matmul.kind for matmul in plan.document.matmuls] == ["scores", "context"] * 2
    for batch, length in ((1, 4), (2, 9), (5, 31)):
        assert_equal_to(model, plan, padded_batch(batch, length))


def test_parameter_names_are_kept(small_plan):
    layers = small_plan.document.layers
    assert [layer.name for layer in layers][:4] == [
        "encoder.layer.0.attention.self.query_key_value",
        "encoder.layer.0.attention.output.dense",
        "encoder.layer.0.intermediate.dense",
        "encoder.layer.0.output.dense",
    ]
    assert [part.weight for part in layers[0].parts] == [
        f"encoder.layer.0.attention.self.{part}.weight" for part in ("query", "key", "value")
    ]


def test_an_lm_head_tied_to_the_embedding_is_a_layer_and_stored_once(tmp_path):
    from transformers import BertForMaskedLM

    model = BertForMaskedLM(small_bert_config()).eval()
    model.save_pretrained(tmp_path / "model")
    plan = tilewright.compile(tmp_path / "model")
    plan.save(tmp_path / "plan")
    head = plan.document.layers[-1]
    assert (head.inputs, head.outputs) == (64, 200)
    records = plan.document.tensors
    tied = {name: record.stored_as for name, record in records.items() if record.shape == [200, 64]}
    assert f"on_tiles.{head.name}.weight" in tied
    assert len(tied) == 2
    assert len(set(tied.values())) == 1


class Shared(nn.Module):
    """One layer used twice, a GPT-2 style transposed weight, a plain matmul, and no bias."""

    def __init__(self):
        super().__init__()
        self.again = nn.Linear(24, 24)
        self.transposed = nn.Parameter(torch.randn(24, 40) / 5)
        self.offset = nn.Parameter(torch.randn(40))
        self.matrix = nn.Parameter(torch.randn(40, 8) / 6)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x, y):
        x = torch.relu(self.again(x))
        x = self.dropout(self.again(x) + y)
        flat = torch.addmm(self.offset, x.reshape(-1, 24), self.transposed)
        flat.mul_(2)
        return {"answer": flat.reshape(*x.shape[:-1], 40) @ self.matrix, "rest": [x, (y * 2,)]}


def test_any_module(tmp_path):
    torch.manual_seed(0)
    model = Shared()  # in training mode: compiled in eval mode, and left as it was
    example = {"x": torch.randn(3, 5, 24), "y": torch.randn(3, 5, 24)}
    plan = tilewright.compile(model, example_inputs=example, name="shared")
    assert model.training
    assert [record.name for record in plan.document.outputs] == ["answer", "rest.0", "rest.1.0"]
    layers = {layer.name: layer for layer in plan.document.layers}
    assert set(layers) == {"again", "transposed", "matrix"}
    assert len(layers["again"].uses) == 2
    assert all(
        use.sample_axis == SampleAxis(dimension=0, innermost=False) for layer in layers.values() for use in layer.uses
    )
    plan.save(tmp_path / "plan")
    model.eval()
    for sizes in ((3, 5), (1, 2), (6, 1)):
        inputs = {"x": torch.randn(*sizes, 24), "y": torch.randn(*sizes, 24)}
        outputs = tilewright.Session(tilewright.load(tmp_path / "plan"), ideal=True)(inputs)
        with torch.inference_mode():
            expected = model(**inputs)
        torch.testing.assert_close(outputs["answer"], expected["answer"], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(outputs["rest.1.0"], inputs["y"] * 2)
        noisy = tilewright.Session(plan)(inputs)
        assert noisy["answer"].shape == expected["answer"].shape


def test_single_tensors_and_batches_of_one():
    model = nn.Sequential(nn.Linear(10, 20), nn.GELU(), nn.Linear(20, 5)).eval()
    plan = tilewright.compile(model, example_inputs=torch.randn(1, 10))
    assert [record.name for record in plan.document.outputs] == ["output"]
    assert plan.document.inputs[0].shape == ["batch", 10]
    outputs = tilewright.Session(plan, ideal=True)(input=torch.ones(7, 10))
    torch.testing.assert_close(outputs["output"], model(torch.ones(7, 10)), rtol=1e-4, atol=1e-5)


def test_attention_of_all_kinds_is_taken_apart():
    class Attention(nn.Module):
        def forward(self, q, k, v, mask):
            causal = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            masked = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=0.3)
            return causal + masked

    q, k, v = torch.randn(3, 2, 4, 6, 8).unbind(0)
    mask = torch.rand(2, 1, 6, 6) > 0.4
    mask[0, 0, 2] = False  # a query that sees nothing
    model = Attention()
    plan = tilewright.compile(model, example_inputs={"q": q, "k": k, "v": v, "mask": mask})
    assert [matmul.kind for matmul in plan.document.matmuls] == ["scores", "context"] * 2
    inputs = {"q": q * 2, "k": k, "v": v, "mask": mask}
    outputs = tilewright.Session(plan, ideal=True)(inputs)
    torch.testing.assert_close(outputs["output"], model(**inputs), rtol=1e-4, atol=1e-5)


def test_grouped_queries():
    class Grouped(nn.Module):
        def forward(self, q, k, v):
            return nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    q, k, v = torch.randn(2, 8, 6, 16), torch.randn(2, 2, 6, 16), torch.randn(2, 2, 6, 16)
    plan = tilewright.compile(Grouped(), example_inputs={"q": q, "k": k, "v": v})
    outputs = tilewright.Session(plan, ideal=True)(q=q, k=k, v=v)
    torch.testing.assert_close(outputs["output"], Grouped()(q, k, v), rtol=1e-4, atol=1e-5)


def test_calibration_may_be_given():
    model = nn.Linear(6, 4)
    given = {"input": torch.full((9, 6), 3.0)}
    plan = tilewright.compile(model, example_inputs=torch.randn(2, 6), calibration=given)
    assert plan.document.calibration.samples == 9
    assert not plan.document.calibration.automatic
    assert plan.document.layers[0].option.uses[0].input_range == pytest.approx(3.0)
    with pytest.raises(InputError, match="did you mean 'input'"):
        tilewright.compile(model, example_inputs=torch.randn(2, 6), calibration={"inputs": torch.ones(1, 6)})
    with pytest.raises(InputError, match="mapping"):
        tilewright.compile(model, example_inputs=torch.randn(2, 6), calibration=["text"])


@pytest.mark.parametrize("bits", [1, 17, True, "many"])
def test_attention_bits_have_a_range(bits):
    with pytest.raises(InputError, match="attention bits"):
        tilewright.compile(nn.Linear(3, 3), example_inputs=torch.ones(2, 3), attention_bits=bits)


def test_modules_need_examples_that_fit():
    with pytest.raises(InputError, match="example_inputs"):
        tilewright.compile(nn.Linear(3, 3))
    with pytest.raises(InputError, match="takes 1 inputs, example_inputs has 2"):
        tilewright.compile(nn.Linear(3, 3), example_inputs=(torch.ones(2, 3), torch.ones(2, 3)))
    with pytest.raises(InputError, match="must be a folder"):
        tilewright.compile(3)


def test_outputs_that_are_not_tensors_are_left_out():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(6, 6)

        def forward(self, x):
            return {"none": None, "size": x.shape[0], "value": self.inner(x), "constant": 3}

    plan = tilewright.compile(Mixed(), example_inputs=torch.randn(3, 6))
    assert [record.name for record in plan.document.outputs] == ["value"]
    assert list(tilewright.Session(plan)(x=torch.ones(5, 6))) == ["value"]


def test_convolutions_go_on_tiles_with_their_batch_norms():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    ).eval()
    plan = tilewright.compile(model, example_inputs=torch.randn(2, 3, 8, 8))
    assert [layer.name for layer in plan.document.layers] == ["0", "5"]
    x = torch.randn(5, 3, 8, 8)
    outputs = tilewright.Session(plan, ideal=True)(input=x)
    torch.testing.assert_close(outputs["output"], model(x), rtol=1e-4, atol=1e-5)


def test_multihead_attention():
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), 2).eval()
    plan = tilewright.compile(model, example_inputs=torch.randn(2, 5, 32))
    assert [matmul.kind for matmul in plan.document.matmuls] == ["scores", "context"] * 2
    x = torch.randn(4, 9, 32)
    with torch.inference_mode():
        expected = model(x)
    torch.testing.assert_close(tilewright.Session(plan, ideal=True)(src=x)["output"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_named(dtype):
    with pytest.raises(InputError, match="plans compute in float32"):
        tilewright.compile(nn.Linear(3, 3).to(dtype), example_inputs=torch.ones(2, 3, dtype=dtype))


def test_what_cannot_be_traced_says_why():
    class Impossible(nn.Module):
        def forward(self, x):
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(InputError, match="cannot trace Impossible"):
        tilewright.compile(Impossible(), example_inputs=torch.ones(2, 3))


def test_an_unsupported_operator_is_named():
    class Unsupported(nn.Module):
        def forward(self, x):
            return torch.linalg.inv(x)

    with pytest.raises(InputError, match="linalg_inv"):
        tilewright.compile(Unsupported(), example_inputs=torch.eye(3).repeat(2, 1, 1))


def test_folders_that_are_not_models(tmp_path):
    with pytest.raises(InputError, match="no model folder"):
        tilewright.compile(str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=r"holds no config\.json"):
        tilewright.compile(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="not a model"):
        tilewright.compile(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertNonsense"]}')
    with pytest.raises(InputError, match="BertNonsense"):
        tilewright.compile(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    with pytest.raises(InputError, match="weights"):
        tilewright.compile(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="weights"):
        tilewright.compile(tmp_path)
