"""Modules that sentence-transformers folders put behind the transformer run as that library runs them."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

import tilewright
from tests.conftest import padded_batch, small_bert_config
from tilewright.compiler.frontends.sentence_modules import POOLINGS, Pooling, read_modules
from tilewright.targets.errors import InputError

OLD, NEW = "sentence_transformers.models.", "sentence_transformers.sentence_transformer.modules.pooling."
TRANSFORMER = ("", OLD + "Transformer", None)


def make(folder, *modules):
    """A folder's list of modules (path, type, config) with their configs."""
    (folder / "modules.json").write_text(
        json.dumps(
            [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind, _) in enumerate(modules)]
        )
    )
    for path, _, config in modules:
        if config is not None:
            (folder / path).mkdir(exist_ok=True)
            (folder / path / "config.json").write_text(json.dumps(config))
    return folder


def mean(**more):
    return ("1_Pooling", OLD + "Pooling", {"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True, **more})


def dense(inputs, outputs, **more):
    return ("2_Dense", OLD + "Dense", {"in_features": inputs, "out_features": outputs, "bias": True, **more})


def test_poolings_are_the_librarys():
    """Poolings by the library's documented formulas, one text at a time, with padding on either side."""
    tokens, mask = torch.randn(3, 5, 4), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
    found = {mode: Pooling([mode])(tokens, mask) for mode in POOLINGS}
    for row in range(3):
        text = tokens[row][mask[row] == 1]
        places = torch.arange(1, 6)[mask[row] == 1].float().unsqueeze(1)
        expected = {
            "cls": text[0],
            "max": text.max(dim=0).values,
            "mean": text.mean(dim=0),
            "mean_sqrt_len_tokens": text.sum(dim=0) / len(text) ** 0.5,
            "weightedmean": (text * places).sum(dim=0) / places.sum(),
            "lasttoken": text[-1],
        }
        for mode, value in expected.items():
            torch.testing.assert_close(found[mode][row], value, msg=mode)
    assert torch.equal(Pooling(["max", "cls"])(tokens, mask), torch.cat([found["max"], found["cls"]], dim=1))


def test_a_plain_mean_or_first_token_stays_outside_the_plan(tmp_path):
    for pooling, expected in (("mean", "mean"), (["cls"], "cls")):
        folder = make(
            tmp_path,
            TRANSFORMER,
            ("1_Pooling", NEW + "Pooling", {"embedding_dimension": 64, "pooling_mode": pooling}),
            ("2_Normalize", OLD + "Normalize", None),
        )
        found = read_modules(folder, with_weights=True)
        assert found.pooling == expected
        assert found.modules is None
    (tmp_path / "modules.json").unlink()
    assert read_modules(tmp_path, with_weights=True).pooling == "cls"  # of older folders' one other file


@pytest.fixture(scope="module")
def everything(small_bert, tmp_path_factory):
    """A folder with all kinds of pooling, two dense layers, a norm; its plan; the embedding by hand."""
    torch.manual_seed(5)
    folder = tmp_path_factory.mktemp("sentence") / "model"
    small_bert.save_pretrained(folder)
    kinds = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    flags = {f"pooling_mode_{kind}": True for kind in kinds}
    make(
        folder,
        TRANSFORMER,
        ("1_Pooling", OLD + "Pooling", {"word_embedding_dimension": 64, **flags}),
        dense(384, 48, activation_function="torch.nn.modules.activation.Tanh"),
        ("3_Dropout", OLD + "Dropout", {"dropout": 0.2}),
        ("4_LayerNorm", OLD + "LayerNorm", {"dimension": 48}),
        ("5_Dense", OLD + "Dense", {"in_features": 48, "out_features": 32, "bias": False, "use_residual": True,
                                    "activation_function": "torch.nn.modules.linear.Identity"}),
        ("6_Normalize", OLD + "Normalize", None),
    )  # fmt: skip
    first = {"linear.weight": torch.randn(48, 384) / 20, "linear.bias": torch.randn(48)}
    norm = {"norm.weight": torch.rand(48), "norm.bias": torch.randn(48)}
    second = {"linear.weight": torch.randn(32, 48) / 7, "residual.weight": torch.randn(32, 48) / 7}
    save_file(first, folder / "2_Dense" / "model.safetensors")
    torch.save(norm, folder / "4_LayerNorm" / "pytorch_model.bin")
    save_file(second, folder / "5_Dense" / "model.safetensors")

    @torch.inference_mode()
    def by_hand(inputs):
        tokens, mask = small_bert(**inputs).last_hidden_state, inputs["attention_mask"]
        pooled = torch.cat([Pooling([mode])(tokens, mask) for mode in POOLINGS], dim=1)
        hidden = torch.tanh(functional.linear(pooled, first["linear.weight"], first["linear.bias"]))
        hidden = functional.layer_norm(hidden, [48], norm["norm.weight"], norm["norm.bias"])
        return functional.normalize(hidden @ second["linear.weight"].T + hidden @ second["residual.weight"].T, dim=1)

    return folder, tilewright.compile(folder, check=True), by_hand


def test_all_modules_are_part_of_the_network(everything):
    folder, plan, by_hand = everything
    document = plan.document
    assert document.model.pooling is None
    assert document.outputs[-1].name == "sentence_embedding"
    assert {"2_Dense.linear", "5_Dense.linear", "5_Dense.residual"} <= {
        name for layer in document.layers for name in [part.weight.removesuffix(".weight") for part in layer.parts]
    }
    assert sum(weight.parameters for weight in document.weights_of_model) == document.model.parameters
    for batch, length in ((1, 4), (3, 9)):
        inputs = padded_batch(batch, length)
        found = tilewright.Session(plan, ideal=True)(inputs)["sentence_embedding"]
        torch.testing.assert_close(found, by_hand(inputs), rtol=1e-4, atol=1e-5)
    config_only = tilewright.compile(folder, config_only=True).document
    assert [layer.name for layer in config_only.layers] == [layer.name for layer in document.layers]


def test_stsb_takes_the_models_own_embedding():
    from tilewright.runtime.tasks.texts.stsb import SemanticSimilarity

    task = object.__new__(SemanticSimilarity)
    task.reads_pairs, task.embeds_itself = False, True
    embedding = torch.randn(2, 3)
    found = task.read({}, {"sentence_embedding": embedding, "last_hidden_state": torch.zeros(2, 4, 3)})
    assert torch.equal(found, functional.normalize(embedding, dim=1))


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ([TRANSFORMER, mean(), ("2_CNN", OLD + "CNN", {})], "a module .*CNN' that tilewright does not know"),
        ([TRANSFORMER, mean(), ("2_X", "my_code.Dense", {})], "my_code.Dense"),
        ([TRANSFORMER, mean(pooling_mode="median")], "pooling_mode is 'median'; did you mean 'mean'"),
        ([TRANSFORMER, ("../1_Pooling", OLD + "Pooling", None)], "does not stay inside the folder"),
        ([TRANSFORMER, ("1_Pooling", OLD + "Pooling", None)], "is missing, which modules.json names"),
        ([TRANSFORMER, mean(), dense(64, 10**12)], "out_features is 1000000000000"),
        ([TRANSFORMER, mean(), dense(64, 8, activation_function="os.Tanh")], "activation_function is 'os.Tanh'"),
        ([TRANSFORMER, mean(), dense(64, 8, module_input_name="token_embeddings")], "module_input_name"),
        ([TRANSFORMER, mean(), dense(64, 8)], r"holds no model\.safetensors"),
        ([TRANSFORMER, mean(), mean()], "two modules in one folder"),
        ([("0_Transformer", OLD + "Transformer", {}), mean()], "move its files into the folder"),
        ([TRANSFORMER, dense(64, 8)], "Transformer and Pooling must come first"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused(tmp_path, modules, words):
    with pytest.raises(InputError, match=words):
        read_modules(make(tmp_path, *modules), with_weights=True)


def test_files_that_are_damaged(tmp_path):
    make(tmp_path, TRANSFORMER, mean(), dense(64, 8))
    weights = tmp_path / "2_Dense" / "model.safetensors"
    for stored in ({"linear.weight": torch.ones(8, 64)}, {"linear.weight": torch.ones(64, 8)}, {}):
        save_file(stored, weights)
        with pytest.raises(InputError, match="its config takes"):
            read_modules(tmp_path, with_weights=True)
    for content in ("{", "[" * 10**5, "3", '{"a": 1}', "[3]"):
        (tmp_path / "modules.json").write_text(content)
        with pytest.raises(InputError, match=r"modules\.json"):
            read_modules(tmp_path, with_weights=True)


def test_heads_have_nothing_to_pool(tmp_path):
    from transformers import BertForSequenceClassification

    BertForSequenceClassification(small_bert_config(num_hidden_layers=1)).save_pretrained(tmp_path)
    make(tmp_path, TRANSFORMER, mean(pooling_mode_max_tokens=True))
    with pytest.raises(InputError, match="gives no last_hidden_state"):
        tilewright.compile(tmp_path)
