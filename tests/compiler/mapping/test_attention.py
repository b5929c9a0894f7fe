"""Units for products of two activations: which format each has, and what ranges."""

import pytest
import torch

import tilewright
from tests.conftest import padded_batch, small_bert_config
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_attention_unit, load_chip

HEADS = small_bert_config().num_attention_heads
PER_HEAD = "attention-int4"


def chip_with(**changes):
    unit = load_attention_unit("attention-int8").model_copy(update=changes)
    chip = load_chip("ideal")
    return chip.model_copy(update={"attention": chip.attention.model_copy(update={"unit": unit})})


def difference(folder, **changes):
    """Difference from the digital reference on ideal tiles: attention alone."""
    plan = tilewright.compile(folder, chip_with(**changes))
    inputs = padded_batch(4, 24)
    exact = tilewright.Session(plan, ideal=True)(inputs)["last_hidden_state"]
    return float((tilewright.Session(plan)(inputs)["last_hidden_state"] - exact).norm() / exact.norm()), plan


def test_a_format_for_each_layer(small_bert_folder):
    wanted: dict[str, int | str] = {"*": 8, "encoder.layer.0.*": "bf16", "*.layer.1.*.context": PER_HEAD}
    plan = tilewright.compile(small_bert_folder, attention_bits=wanted)
    formats = {matmul.name: matmul.operands for matmul in plan.document.matmuls}
    assert formats == {
        "encoder.layer.0.attention.self.scores": "bf16",
        "encoder.layer.0.attention.self.context": "bf16",
        "encoder.layer.1.attention.self.scores": "int8",
        "encoder.layer.1.attention.self.context": "int4",
    }
    ranges = {matmul.name: len(matmul.left_ranges) for matmul in plan.document.matmuls}
    assert ranges.pop("encoder.layer.1.attention.self.context") == HEADS
    assert set(ranges.values()) == {1}


def test_fewer_bits_are_farther_and_ranges_a_head_and_signs_bring_them_back(small_bert_folder):
    errors = {bits: difference(small_bert_folder, operands=f"int{bits}")[0] for bits in (4, 6, 8, 10)}
    assert errors[4] > errors[6] > errors[8] > errors[10] > 0
    per_head, plan = difference(small_bert_folder, operands="int4", scales="per_head")
    assert {len(matmul.left_ranges) for matmul in plan.document.matmuls} == {HEADS}
    unsigned, plan = difference(small_bert_folder, operands="int4", scales="per_head", probabilities="unsigned")
    assert [matmul.left_signed for matmul in plan.document.matmuls] == [True, False] * 2, "scores have a sign"
    assert unsigned < per_head < 1.02 * errors[4]


def test_the_choice_names_what_other_formats_would_do(small_plan):
    decision = next(d for d in small_plan.document.decisions if d.made_by == "route_attention")
    errors = {other.choice: other.figures[0].value for other in decision.rejected}
    assert set(errors) == {f"{name} unit" for name in ("INT4", "INT6", "INT10", "BF16")}
    assert errors["INT4 unit"] > errors["INT6 unit"] > decision.figures[1].value > errors["INT10 unit"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"encoder.layer.7.*": 8}, "matches no product of activations; did you mean 'encoder.layer"),
        ({"*": 99}, "attention bits are 99"),
        ({"*.scores": "attention-int7"}, "did you mean 'attention-int"),
    ],
)
def test_wrong_requests_are_one_sentence(small_bert_folder, wanted, words):
    with pytest.raises(InputError, match=words):
        tilewright.compile(small_bert_folder, attention_bits=wanted)


def test_the_command_line_takes_patterns(small_bert_folder, tmp_path):
    from typer.testing import CliRunner

    from tilewright.compiler.cli.app import app

    result = CliRunner().invoke(
        app,
        ["compile", str(small_bert_folder), "-o", str(tmp_path / "p"), "--attention-bits", "6",
         "--attention-bits", "*.layer.1.*=bf16"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    plan = tilewright.load(tmp_path / "p")
    assert [matmul.operands for matmul in plan.document.matmuls] == ["int6", "int6", "bf16", "bf16"]


def test_ranges_a_head_survive_the_folder(small_bert_folder, tmp_path):
    plan = tilewright.compile(small_bert_folder, attention_bits=PER_HEAD)
    plan.save(tmp_path / "p")
    inputs = padded_batch(2, 9)
    outputs = [tilewright.Session(p)(inputs)["last_hidden_state"] for p in (plan, tilewright.load(tmp_path / "p"))]
    assert torch.equal(*outputs)
