"""Models as exporters write them compile, and equal onnxruntime's outputs after save and load."""

import math
import warnings
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import tilewright
from tests.conftest import small_bert_config
from tests.families import build
from tests.narrowing import present
from tests.networks import SAMPLES_FIRST
from tests.onnx_models import (
    ManyOperators,
    Perceptron,
    SmallResNet,
    SmallTransformer,
    SmallYolo,
    export,
    model_of,
    tensorflow_style,
    trained_looking,
)
from tilewright.targets.errors import InputError

IMAGE, IDS = torch.randn(2, 3, 64, 64), torch.randint(0, 50, (2, 7))
MODELS: dict[str, tuple[type[nn.Module], torch.Tensor, dict[str, Any]]] = {
    "perceptron, opset 11": (Perceptron, torch.randn(3, 20), {"opset": 11}),
    "perceptron, dynamo": (Perceptron, torch.randn(3, 20), {"opset": 18, "dynamo": True}),
    "ResNet, opset 11, batch norms kept": (SmallResNet, IMAGE, {"opset": 11, "fold": False}),
    "ResNet, opset 17, any image size": (SmallResNet, IMAGE, {"opset": 17, "dynamic": (0, 2, 3)}),
    "ResNet, dynamo": (SmallResNet, IMAGE, {"opset": 18, "dynamo": True}),
    "YOLO-like, opset 13, any image size": (SmallYolo, IMAGE, {"opset": 13, "dynamic": (0, 2, 3)}),
    "YOLO-like, dynamo": (SmallYolo, IMAGE, {"opset": 20, "dynamo": True}),
    "YOLO-like, opset 9": (SmallYolo, IMAGE, {"opset": 9}),
    "many operators, opset 17": (ManyOperators, torch.randn(2, 3, 17, 19), {"opset": 17}),
    "many operators, dynamo": (ManyOperators, torch.randn(2, 3, 17, 19), {"opset": 18, "dynamo": True}),
    "transformer, opset 14": (SmallTransformer, IDS, {"opset": 14, "dynamic": (0, 1)}),
    "transformer, dynamo": (SmallTransformer, IDS, {"opset": 18, "dynamo": True, "dynamic": (0, 1)}),
}


def assert_equals_onnxruntime(plan, path, *samples):
    import onnxruntime

    runtime = onnxruntime.InferenceSession(path if isinstance(path, bytes) else str(path))
    session = tilewright.Session(plan, ideal=True)
    for sample in samples:
        named = {value.name: array.numpy() for value, array in zip(runtime.get_inputs(), sample, strict=True)}
        for output, exact in zip(session(named).values(), runtime.run(None, named), strict=True):
            assert tuple(output.shape) == exact.shape
            assert np.abs(output.numpy() - exact).max() <= 1e-4 * np.abs(exact).max()


@pytest.fixture(scope="module", params=list(MODELS))
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    network, example, options = MODELS[request.param]
    torch.manual_seed(0)
    path = export(trained_looking(network()), (example,), folder / "model.onnx", **options)
    tilewright.compile(path, check=True).save(folder / "plan")
    return path, tilewright.load(folder / "plan"), example, options


def test_equals_onnxruntime_at_other_sizes(exported):
    path, plan, example, options = exported
    assert present(plan.document.check).largest_relative_error < 1e-4
    batches = [example[:1], torch.cat([example, example.flip(-1)])]
    if 2 in options.get("dynamic", ()):
        batches.append(torch.randn(1, 3, 96, 32))
    if 1 in options.get("dynamic", ()) and options.get("dynamo"):
        batches.append(torch.randint(0, 50, (3, 11)))
    assert_equals_onnxruntime(plan, path, *([batch] for batch in batches))


def test_every_float_is_accounted_for(exported):
    path, plan, _, _ = exported
    model = onnx.load(path)
    stored = sum(int(np.prod(t.dims)) for t in model.graph.initializer if t.data_type == TensorProto.FLOAT)
    weights = plan.document.weights_of_model
    assert sum(weight.parameters for weight in weights) == plan.document.model.parameters >= stored
    stay = ("depthwise", "transposed")
    large = [
        w
        for w in weights
        if len(w.shape) > 1 and math.prod(w.shape) > 64 and not any(word in w.reason for word in stay)
    ]
    assert {weight.place for weight in large} <= {"analog", "look-up"}


def test_samples_are_found(exported):
    _, plan, _, _ = exported
    axes = [use.sample_axis for layer in plan.document.layers for use in layer.uses]
    assert all(axis is not None for axis in axes)
    if "attn" not in " ".join(layer.name for layer in plan.document.layers):
        assert set(map(str, axes)) == {str(SAMPLES_FIRST)}


def test_names_are_the_models(exported):
    _, plan, _, _ = exported
    for layer in plan.document.layers:
        assert not any(word in layer.name for word in ("onnx", "val_", "Constant")), layer.name


class Bert(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


@pytest.mark.parametrize("dynamo", [False, True])
def test_a_bert_with_padding(small_bert, tmp_path, dynamo):
    ids, mask = torch.randint(0, 200, (2, 7)), torch.ones(2, 7, dtype=torch.long)
    options = {"opset": 18 if dynamo else 14, "dynamo": dynamo, "dynamic": (0, 1)}
    path = export(Bert(small_bert).eval(), (ids, mask), tmp_path / "bert.onnx", **options)
    plan = tilewright.compile(path, check=True)
    assert len(plan.document.layers) == 8
    assert [matmul.kind for matmul in plan.document.matmuls] == ["scores", "context"] * 2
    assert plan.document.calibration.automatic
    assert plan.document.inputs[0].shape == ["batch", "sequence"]
    padded = mask.clone()
    padded[1, 4:] = 0
    samples = [(ids, padded), (torch.randint(0, 200, (3, 19)), torch.ones(3, 19, dtype=torch.long))]
    assert_equals_onnxruntime(plan, path, *samples)
    assert small_bert_config().vocab_size == 200


def test_tensorflow_style_names_and_shapes():
    model = tensorflow_style()
    plan = tilewright.compile(model, check=True)
    assert [layer.name for layer in plan.document.layers] == ["model.conv.Conv2D", "model.dense.MatMul"]
    (record,) = plan.document.inputs
    assert (record.name, record.source_name) == ("serving_default_image", "serving_default_image:0")
    assert_equals_onnxruntime(plan, model.SerializeToString(), [torch.randn(1, 15, 15, 3)], [torch.randn(5, 15, 15, 3)])


def test_constants_on_either_side_shared_and_transposed():
    generator = np.random.default_rng(0)
    shared = generator.standard_normal((6, 6)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["right"], "right"),
        helper.make_node("MatMul", ["w", "right"], ["left"], "left"),
        helper.make_node("Transpose", ["w"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["left", "turned"], ["again"], "again"),
        helper.make_node("Add", ["b", "again"], ["y"], "bias"),
    ]
    model = model_of(nodes, {"x": (TensorProto.FLOAT, ["n", 6, 6])}, {"y": (TensorProto.FLOAT, ["n", 6, 6])},
                     {"w": shared, "b": np.arange(6, dtype=np.float32)})  # fmt: skip
    plan = tilewright.compile(model, check=True)
    by_matrix = sorted((layer.parts[0].weight, len(layer.uses), layer.has_bias) for layer in plan.document.layers)
    # x w needs w transposed, w x and x w' need w itself; the bias belongs to one use alone and so splits the layer
    assert {weight for weight, _, _ in by_matrix} == {"w"}
    assert sum(uses for _, uses, _ in by_matrix) == 3
    assert [bias for *_, bias in by_matrix].count(True) == 1
    assert_equals_onnxruntime(plan, model.SerializeToString(), [torch.randn(4, 6, 6)])


def test_a_folder_with_an_onnx_file_alone_points_to_it(small_bert_folder, tmp_path):
    (tmp_path / "config.json").write_bytes((small_bert_folder / "config.json").read_bytes())
    onnx.save(tensorflow_style(), tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"compile its ONNX file: .*model\.onnx"):
        tilewright.compile(tmp_path)


class FirstOutput(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask)[0]


@pytest.mark.parametrize(("family", "uses"), [("ALBERT", 4), ("Llama", 1)])
def test_sizes_with_a_name_for_each_input_and_copies_of_matrices(family, uses, tmp_path):
    """torch's newer exporter names the sizes of every input apart and stores a shared matrix once for each use."""
    model = build(family)
    model.config.use_cache = False
    ids, mask = torch.randint(3, 200, (2, 7)), torch.ones(2, 7, dtype=torch.long)
    shapes = dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(FirstOutput(model).eval(), (ids, mask), str(tmp_path / "model.onnx"), dynamo=True,
                          opset_version=20, dynamic_shapes=(shapes, shapes), verbose=False)  # fmt: skip
    plan = tilewright.compile(tmp_path / "model.onnx", check=True)
    assert [record.shape for record in plan.document.inputs] == [["batch", "sequence"]] * 2
    assert max(len(layer.uses) for layer in plan.document.layers) == uses
    assert any("copies" in note for note in plan.document.notes) == (family == "ALBERT")
    padded = torch.ones(3, 11, dtype=torch.long)
    padded[1, 8:] = 0
    assert_equals_onnxruntime(plan, tmp_path / "model.onnx", [torch.randint(3, 200, (3, 11)), padded])


def test_decisions_are_about_the_models_own_names(tmp_path):
    path = export(trained_looking(SmallResNet()), (IMAGE,), tmp_path / "model.onnx", opset=17, fold=False)
    decisions = tilewright.compile(path).document.decisions
    folded = {decision.subject: decision.choice for decision in decisions if decision.made_by == "fold_batch_norms"}
    assert folded["stem.1"] == "folded into stem.0"
    assert folded["blocks.0.bn1"] == "folded into blocks.0.conv1"
    unfolded = [decision.subject for decision in decisions if decision.made_by == "unfold_convolutions"]
    assert unfolded[:2] == ["stem.0", "blocks.0.conv1"]


def test_a_short_table_of_positions_limits_the_samples():
    nodes = [
        helper.make_node("Gather", ["words", "ids"], ["seen"], "words"),
        helper.make_node("Shape", ["ids"], ["shape"]),
        helper.make_node("Slice", ["shape", "one", "two"], ["length"]),
        helper.make_node("Slice", ["positions", "zero", "length", "zero"], ["places"], "positions"),
        helper.make_node("Add", ["seen", "places"], ["both"]),
        helper.make_node("MatMul", ["both", "w"], ["y"], "dense"),
    ]
    constants: dict[str, np.ndarray] = {
        name: np.array([number], np.int64) for number, name in enumerate(("zero", "one", "two"))
    }
    draw = np.random.default_rng(0)
    shapes = {"words": (30, 8), "positions": (14, 8), "w": (8, 3)}
    constants |= {name: draw.random(shape).astype(np.float32) for name, shape in shapes.items()}
    model = model_of(
        nodes, {"ids": (TensorProto.INT64, ["n", "t"])}, {"y": (TensorProto.FLOAT, ["n", "t", 3])}, constants
    )
    plan = tilewright.compile(model, check=True)
    assert [layer.name for layer in plan.document.layers] == ["w"]
    assert_equals_onnxruntime(plan, model.SerializeToString(), [torch.randint(0, 30, (2, 14))])


def test_two_inputs_of_vectors():
    """Numbers of two vectors are taken for one size, the batch: most models that there are mean that."""
    nodes = [
        helper.make_node("MatMul", ["left", "w"], ["l"], "left"),
        helper.make_node("Transpose", ["right"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["l", "turned"], ["scores"], "scores"),
    ]
    kinds = {"left": (TensorProto.FLOAT, ["n", 4]), "right": (TensorProto.FLOAT, ["m", 4])}
    model = model_of(nodes, kinds, {"scores": (TensorProto.FLOAT, ["n", "m"])}, {"w": np.eye(4, dtype=np.float32)})
    plan = tilewright.compile(model, check=True)
    x = torch.randn(3, 4)
    assert_equals_onnxruntime(plan, model.SerializeToString(), [x, x])


def test_any_word_may_be_a_name():
    """Names that torch's modules keep for themselves are taken too, and names below other names."""
    names = ["training", "forward", "model/type", "a.b", "a.b.c", "known", "order", "graph.code"]
    constants = {name: np.full((4, 4), 1 / (2 + place), np.float32) for place, name in enumerate(names)}
    nodes = [helper.make_node("MatMul", [f"x{place}", name], [f"x{place + 1}"]) for place, name in enumerate(names)]
    kinds = {"x0": (TensorProto.FLOAT, ["n", 4])}, {f"x{len(names)}": (TensorProto.FLOAT, ["n", 4])}
    plan = tilewright.compile(model_of(nodes, *kinds, constants), check=True)
    assert len(plan.document.layers) == len(names)
    assert [weight.place for weight in plan.document.weights_of_model] == ["analog"] * len(names)


def test_functions_are_inlined():
    body = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Relu", ["product"], ["y"]),
    ]
    function = helper.make_function("mine", "Dense", ["x", "w"], ["y"], body, [helper.make_opsetid("", 17)])
    model = model_of(
        [helper.make_node("Dense", ["x", "w"], ["y"], "dense", domain="mine")],
        {"x": (TensorProto.FLOAT, ["n", 4])},
        {"y": (TensorProto.FLOAT, ["n", 3])},
        {"w": np.ones((4, 3), np.float32)},
        functions=[function],
    )
    plan = tilewright.compile(model, check=True)
    assert [layer.name for layer in plan.document.layers] == ["w"]


def test_external_data_and_its_place(tmp_path):
    path = export(trained_looking(Perceptron()), (torch.randn(3, 20),), tmp_path / "model.onnx", opset=17)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    plan = tilewright.compile(path, check=True)
    assert_equals_onnxruntime(plan, path, [torch.randn(5, 20)])
    (tmp_path / "weights.bin").write_bytes(b"short")
    with pytest.raises(InputError, match="which is shorter"):
        tilewright.compile(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InputError, match="are missing"):
        tilewright.compile(path)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value="../weights.bin")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="not a file beside the model"):
        tilewright.compile(path)


def test_half_precision_is_widened():
    weight = np.random.default_rng(0).standard_normal((8, 5)).astype(np.float16)
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["y"], "dense")], {"x": (TensorProto.FLOAT16, ["n", 8])},
                     {"y": (TensorProto.FLOAT16, ["n", 5])}, {"w": weight})  # fmt: skip
    plan = tilewright.compile(model, check=True)
    assert present(plan.document.check).tolerance == pytest.approx(2e-2)
    assert plan.document.inputs[0].dtype == "float32"


def test_sizes_that_a_graph_fixes_are_noted(tmp_path):
    path = export(SmallTransformer().eval(), (IDS,), tmp_path / "model.onnx", opset=14, dynamic=(0, 1))
    plan = tilewright.compile(path)
    assert plan.document.inputs[0].shape == ["batch", 7]
    assert any("size1 = 7" in note for note in plan.document.notes)


def test_given_samples_fix_sizes_and_ranges(tmp_path):
    path = export(SmallTransformer().eval(), (torch.zeros(2, 9, dtype=torch.long),), tmp_path / "model.onnx", opset=14,
                  dynamic=(0, 1))  # fmt: skip
    with pytest.raises(InputError, match="give sample inputs"):
        tilewright.compile(path)
    samples: dict[str, Any] = {"input0": np.random.default_rng(0).integers(0, 50, (5, 9))}
    plan = tilewright.compile(path, calibration=samples, check=True)
    assert plan.document.calibration.samples == 5
    assert plan.document.inputs[0].shape == ["batch", 9]
    assert tilewright.compile(path, example_inputs=samples).document.inputs[0].shape == ["batch", 9]


def test_the_tokenizer_beside_a_model_is_used(minilm_folder, tmp_path):
    ids, mask = torch.randint(0, 200, (2, 7)), torch.ones(2, 7, dtype=torch.long)
    from transformers import BertModel

    torch.manual_seed(0)
    model = BertModel(small_bert_config(vocab_size=30522, max_position_embeddings=512)).eval()
    path = tmp_path / "model.onnx"
    export(Bert(model).eval(), (ids, mask), path, opset=17, dynamic=(0, 1))
    onnx_model = onnx.load(path)
    rename = {"input0": "input_ids", "input1": "attention_mask"}
    for value in onnx_model.graph.input:
        value.name = rename[value.name]
    for node in onnx_model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = rename.get(name, name)
    onnx.save(onnx_model, path)
    (tmp_path / "tokenizer.json").write_bytes((minilm_folder / "tokenizer.json").read_bytes())
    plan = tilewright.compile(path)
    assert "sentences" in plan.document.calibration.source
    assert "tokenizer.json" in plan.tokenizer_files
