"""The command line as a user runs it: results, and one sentence with code 2 for what is wrong."""

import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import tilewright
from tests.conftest import padded_batch
from tests.onnx_models import tensorflow_style
from tilewright.compiler.cli import main


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run the program in this process; returns (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tilewright", *map(str, arguments)])
        code: str | int = 0
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def inputs_file(tmp_path):
    path = tmp_path / "inputs.npz"
    np.savez(path, allow_pickle=False, **{name: value.numpy() for name, value in padded_batch(5, 9).items()})
    return path


def sentence(code, out, err):
    """The one sentence of a refusal."""
    assert code == 2
    assert out == ""
    progress = re.compile(r"\w+: \d+ of \d+, \d+ s: ")  # on a slow machine there are such lines before it
    lines = [line for line in err.splitlines() if line.strip() and not progress.match(line)]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: "), err
    assert "Traceback" not in err
    return lines[0]


def test_compile_then_report(run, small_bert_folder, tmp_path):
    code, out, _ = run("compile", small_bert_folder, "-o", "plan", "--json")
    assert code == 0
    result = json.loads(out)
    assert result["report"]["tiles"] == 9
    assert result["report"]["model"] == "small-bert"
    assert result["passes"][0]["pass"] == "canonicalize"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan"]
    code, out, _ = run("report", "plan", "--json")
    report = json.loads(out)
    assert code == 0
    assert report == result["report"]
    assert run("report", "plan", "--format", "json")[1] == out
    code, out, _ = run("report", "plan")
    assert code == 0
    for layer in report["layers"]:
        assert layer["name"] in out
        assert f"{layer['inputs']}x{layer['outputs']}" in out
    assert "int8" in out
    assert "automatic" in out
    assert "only target offered" in out


def test_a_config_alone_is_mapped(run, small_bert_folder, tmp_path):
    code, out, _ = run("compile", small_bert_folder / "config.json", "-o", tmp_path / "plan", "--config-only")
    assert code == 0
    assert "layers on" in out
    code, out, _ = run("report", tmp_path / "plan")
    assert code == 0
    assert "tiles" in out
    assert "no weights to run" in sentence(*run("sensitivity", tmp_path / "plan"))


def test_an_onnx_file_is_compiled_checked_and_run(run, tmp_path):
    onnx.save(tensorflow_style(), tmp_path / "model.onnx")
    code, out, _ = run("compile", "model.onnx", "-o", "plan", "--check", "--json")
    assert code == 0
    report = json.loads(out)["report"]
    assert report["checked_against"].startswith("onnxruntime")
    assert report["checked_relative_error"] < 1e-4
    assert sum(weight["parameters"] for weight in report["weights"]) == report["parameters"]
    code, out, _ = run("report", "plan", "--weights")
    assert code == 0
    assert "onnxruntime" in out
    for weight in report["weights"]:
        assert weight["name"] in out
    image = np.random.default_rng(0).standard_normal((3, 15, 15, 3)).astype(np.float32)
    np.savez(tmp_path / "own.npz", allow_pickle=False, **{"serving_default_image:0": image})
    np.savez(tmp_path / "plain.npz", serving_default_image=image)
    results = []
    for name in ("own", "plain"):
        assert run("run", "plan", "--inputs", f"{name}.npz", "-o", f"{name}-out.npz", "--ideal")[0] == 0
        results.append(np.load(tmp_path / f"{name}-out.npz")["Identity:0"])
    assert results[0].shape == (3, 2, 5)
    assert np.array_equal(*results)


def test_onnx_without_its_package_says_what_to_install(run, tmp_path, monkeypatch):
    onnx.save(tensorflow_style(), tmp_path / "model.onnx")
    for name in [name for name in sys.modules if name.startswith("tilewright.compiler.frontends.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert "pip install 'tilewright[onnx]'" in sentence(*run("compile", "model.onnx", "-o", "plan"))


def test_checking_without_onnxruntime_says_what_to_install(run, tmp_path, monkeypatch):
    onnx.save(tensorflow_style(), tmp_path / "model.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "needs onnxruntime" in sentence(*run("compile", "model.onnx", "-o", "plan", "--check"))
    assert not (tmp_path / "plan").exists()
    assert run("compile", "model.onnx", "-o", "plan")[0] == 0


def test_compile_does_not_overwrite_unasked(run, small_bert_folder, small_plan, tmp_path):
    small_plan.save(tmp_path / "plan")
    assert "exists already" in sentence(*run("compile", small_bert_folder, "-o", "plan"))
    code, out, _ = run("compile", small_bert_folder, "-o", "plan", "--force", "--target", "ideal", "--name", "mine")
    assert code == 0
    assert "mine on ideal" in out
    assert tilewright.load(tmp_path / "plan").document.chip.name == "ideal"


def test_calibration_from_files(run, small_bert_folder, inputs_file, tmp_path):
    assert run("compile", small_bert_folder, "-o", "plan", "--calibration", inputs_file)[0] == 0
    calibration = tilewright.load(tmp_path / "plan").document.calibration
    assert (calibration.samples, calibration.automatic) == (5, False)
    (tmp_path / "texts.txt").write_text("One text.\n")
    problem = sentence(*run("compile", small_bert_folder, "-o", "p2", "--calibration", "texts.txt"))
    assert "tokenizer" in problem
    assert not (tmp_path / "p2").exists()


def test_run_gives_what_the_session_gives(run, small_plan_folder, inputs_file, tmp_path):
    code, out, _ = run(
        "run", small_plan_folder, "--inputs", inputs_file, "--time", "1d", "--seed", 3, "--repeats", 2, "-o", "out.npz",
        "--batch-size", 2, "--json",
    )  # fmt: skip
    assert code == 0
    result = json.loads(out)
    assert result["chip"] == {"seed": 3, "repeats": 2, "time": "1d", "seconds_since_programming": 86400.0}
    plan, inputs = tilewright.load(small_plan_folder), padded_batch(5, 9)
    with np.load(tmp_path / "out.npz") as outputs:
        assert outputs.files == ["last_hidden_state", "pooler_output"]
        for repeat in range(2):
            expected = tilewright.Session(plan, 3, repeat=repeat).advance_to("1d")(inputs)
            for name in outputs.files:
                assert np.array_equal(outputs[name][repeat], expected[name].numpy())
    assert all(line["relative_error"] > 0 for line in result["outputs"])


def test_run_says_that_an_older_plans_seeds_name_other_chips(run, small_plan_folder, inputs_file, tmp_path):
    document = json.loads((small_plan_folder / "plan.json").read_text())
    shutil.copytree(small_plan_folder, tmp_path / "older")
    (tmp_path / "older" / "plan.json").write_text(json.dumps(document | {"draws": document["draws"] - 1}))
    for folder, older in ((tmp_path / "older", True), (small_plan_folder, False)):
        code, out, _ = run("run", folder, "--inputs", inputs_file, "-o", "out.npz", "--force")
        assert code == 0
        assert out.count(", relative error against digital 0.") == 2
        assert ("note: the plan's own figures are of version 1 of the random numbers" in out) is older


def test_run_layer_by_layer_is_the_same_chip(run, small_plan_folder, inputs_file, tmp_path):
    options = ("run", small_plan_folder, "--inputs", inputs_file, "--time", "1d")
    assert run(*options, "-o", tmp_path / "whole.npz")[0] == 0
    assert run(*options, "-o", tmp_path / "by_layer.npz", "--layer-by-layer")[0] == 0
    assert run(*options, "-o", tmp_path / "halved.npz", "--conductances", "bfloat16")[0] == 0
    whole, by_layer, halved = (np.load(tmp_path / f"{name}.npz") for name in ("whole", "by_layer", "halved"))
    for name in whole:
        assert np.array_equal(whole[name], by_layer[name])
        assert not np.array_equal(whole[name], halved[name])
    wrong = run(*options, "-o", tmp_path / "x.npz", "--conductances", "int8")
    assert "conductances are kept as 'int8'" in sentence(*wrong)


def test_run_ideal_is_the_model(run, small_plan_folder, small_bert, inputs_file, tmp_path):
    code, out, _ = run("run", small_plan_folder, "--inputs", inputs_file, "--ideal", "-o", "out.npz")
    assert code == 0
    assert "digital reference" in out
    with np.load(tmp_path / "out.npz") as outputs, torch.inference_mode():
        expected = small_bert(**padded_batch(5, 9))
        assert outputs.files == list(expected.keys())
        for name in outputs.files:
            np.testing.assert_allclose(outputs[name], expected[name].numpy(), rtol=1e-4, atol=1e-5)
    assert "exists already" in sentence(*run("run", small_plan_folder, "--inputs", inputs_file, "-o", "out.npz"))


def test_evaluate(run, minilm_plan_folder, tmp_path):
    (tmp_path / "dev.tsv").write_text(
        "sentence1\tsentence2\tscore\nA dog runs.\tA dog is running.\t5\nA dog runs.\tHe pays taxes.\t0\n"
        "A cup of tea.\tSome tea in a cup.\t4.5\nA cup of tea.\tA green car.\t0.5\n"
    )
    arguments = ["evaluate", minilm_plan_folder, "--task", "stsb", "--data", tmp_path, "--repeats", 2]
    code, out, _ = run(*arguments, "--times", "1s,1mo", "--json")
    result = json.loads(out)
    assert code == 0
    assert [point["time"] for point in result["points"]] == ["1s", "1mo"]
    assert all(len(point["values"]) == 2 and point["standard_error"] is not None for point in result["points"])
    code, out, _ = run(*arguments, "--times", "1s", "--no-drift-compensation")
    assert code == 0
    assert "no drift compensation" in out
    assert "digital" in out


def test_targets(run):
    code, out, _ = run("targets")
    assert code == 0
    assert "pcm-512" in out
    assert "ideal" in out
    assert {target["name"] for target in json.loads(run("targets", "--json")[1])} >= {"pcm-512", "ideal"}
    code, out, _ = run("targets", "pcm-512")
    assert "conductance_max" in out
    assert "uS" in out
    assert "Joshi 2020" in out
    assert json.loads(run("targets", "pcm-512", "--json")[1])["tile"]["adc"]["bits"]["value"] == 10


def test_an_rpu_config_is_a_target(run, tmp_path):
    pickles = Path(__file__).parents[2] / "targets" / "importing" / "pickles"
    source = pickles / "lightning.pickle"
    code, out, err = run("targets", "--rpu-config", source, "-o", "theirs.yaml")
    assert (code, out) == (0, "theirs, which extends pcm-512, written to theirs.yaml\n")
    assert "note: it says nothing of devices" in err
    target = tilewright.load_target("theirs.yaml")
    assert target == tilewright.read_rpu_config(source, name="theirs").target
    printed = run("targets", "--rpu-config", source)[1]
    (tmp_path / "printed.yaml").write_text(printed)
    assert tilewright.load_target("printed.yaml") == tilewright.read_rpu_config(source).target
    found = json.loads(run("targets", "pcm-512-low-noise", "--rpu-config", source, "--json")[1])
    assert found["target"]["extends"] == "pcm-512-low-noise"
    assert found["file"] is None
    assert "exists already" in sentence(*run("targets", "--rpu-config", source, "-o", "theirs.yaml"))
    (tmp_path / "hostile").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    assert "which would be run" in sentence(*run("targets", "--rpu-config", "hostile", "-o", "no.yaml"))
    assert "--output is for --rpu-config" in sentence(*run("targets", "-o", "no.yaml"))
    assert "--set does not go with" in sentence(*run("targets", "--rpu-config", source, "--set", "tile.adc.bits=8"))
    assert not {"ran", "no.yaml"} & {path.name for path in tmp_path.iterdir()}


def test_export(run, small_plan_folder):
    code, out, err = run("export", small_plan_folder, "-o", "layers")
    assert (code, out) == (0, "9 layers written to layers; rebuild.py makes them\n")
    assert "note: pcm-512 has scales in bfloat16, which the rebuilt layers lack" in err
    assert "exists already" in sentence(*run("export", small_plan_folder, "-o", "layers"))
    found = json.loads(run("export", small_plan_folder, "-o", "layers", "--force", "--json")[1])
    assert len(found["layers"]) == 9


def test_targets_of_every_kind(run):
    kinds = {row["kind"] for row in json.loads(run("targets", "--json")[1])}
    assert kinds == {"analog", "digital", "attention", "programming", "chip", "cost", "recipe"}
    only = json.loads(run("targets", "--kind", "programming", "--json")[1])
    assert {row["kind"] for row in only} == {"programming"}
    assert "pairs-2" in {row["name"] for row in only}
    for row in json.loads(run("targets", "--json")[1]):
        code, out, _ = run("targets", row["name"])
        assert code == 0
        assert row["name"] in out
    changed = json.loads(run("targets", "pcm-512", "--set", "tile.adc.bits=8", "--json")[1])
    assert changed["tile"]["adc"]["bits"] == {"value": 8, "unit": "bit", "source": "changed by the user"}
    assert "tile.dac" in run("targets", "pcm-512", "--set", "tile.dac=null")[1]


def test_compile_for_a_chip_with_a_choice_for_single_layers(run, small_bert_folder):
    code, out, _ = run(
        "compile", small_bert_folder, "-o", "plan", "--target", "pcm-512-mixed", "--json",
        "--assign", "*=pcm-512", "--assign", "pooler.*=digital-int8", "--programming", "pairs-2",
        "--programming", "encoder.layer.0.*=most-least", "--attention-bits", "bf16",
    )  # fmt: skip
    layers = {layer["name"]: layer for layer in json.loads(out)["report"]["layers"]}
    assert code == 0
    assert layers["pooler.dense"]["target"] == "digital-int8"
    assert layers["encoder.layer.0.output.dense"]["programming"] == "most-least"
    assert layers["encoder.layer.1.output.dense"]["programming"] == "pairs-2"
    code, out, _ = run("report", "plan")
    assert code == 0
    assert "pairs-2, 4 devices a weight; drift compensation global (4 layers)" in out
    assert "digital-int8" in out
    assert "bf16" in out
    code, out, _ = run("compile", small_bert_folder, "-o", "other", "--set", "drift_compensation=affine", "--json")
    assert code == 0
    assert {layer["drift_compensation"] for layer in json.loads(out)["report"]["layers"]} == {"affine"}
    code, out, _ = run("compile", small_bert_folder, "-o", "digital", "--target", "digital-int8")
    assert code == 0
    assert "on 0 tiles;" in out
    assert run("report", "digital")[0] == 0


def test_characterize(run, tmp_path):
    small = ("--rows", 64, "--columns", 64, "--vectors", 64, "--repeats", 2, "--times", "1s,1mo")
    code, out, err = run("characterize", "pcm-512", "digital-int8", *small, "-o", "found")
    assert code == 0
    assert "pcm-512" in out
    assert "± at most" in out
    assert "…" not in out
    assert "characterization.json" in err
    written = json.loads((tmp_path / "found" / "characterization.json").read_text())
    assert [curve["target"] for curve in written["curves"]] == ["pcm-512", "digital-int8"]
    for name in ("mvm_error.png", "weight_error.png"):
        content = (tmp_path / "found" / name).read_bytes()
        assert content.startswith(b"\x89PNG")
        assert len(content) > 10_000
    assert "exists already" in sentence(*run("characterize", "pcm-512", *small, "-o", "found"))
    assert run("characterize", "pcm-512", *small, "-o", "found", "--force")[0] == 0
    methods = ("--programming", "direct", "--programming", "pairs-4")
    code, out, _ = run("characterize", "pcm-512", *methods, *small, "--set", "tile.adc.bits=8", "--json")
    curves = json.loads(out)["curves"]
    assert [curve["programming"] for curve in curves] == ["direct", "pairs-4"]
    assert curves[1]["points"][0]["mean"] < curves[0]["points"][0]["mean"]


def test_explain_and_diff(run, small_plan_folder, small_bert_folder):
    code, out, _ = run("explain", small_plan_folder, "pooler.dense")
    assert code == 0
    assert "pooler.dense multiplies 64 inputs" in out
    assert "rejected: " in out
    assert json.loads(run("explain", small_plan_folder, "pooler.dense", "--json")[1])["name"] == "pooler.dense"
    assert "did you mean 'pooler.dense'" in sentence(*run("explain", small_plan_folder, "poler.dense"))
    assert "do not differ" in run("diff", small_plan_folder, small_plan_folder)[1]
    run("compile", small_bert_folder, "-o", "other", "--programming", "pairs-2")
    code, out, _ = run("diff", small_plan_folder, "other")
    assert code == 0
    assert "9 layers or products" in out
    assert "devices per weight" in out
    assert "energy_nj" not in out
    assert "pairs-2" in out
    changes = json.loads(run("diff", small_plan_folder, "other", "--json")[1])["changes"]
    assert {change["key"] for change in changes} >= {"programming", "devices_per_weight"}
    assert "no plan folder" in sentence(*run("diff", small_plan_folder, "missing"))


def test_operations(run, small_plan_folder):
    code, out, _ = run("operations", small_plan_folder, "--at", "sequence=8", "--at", "batch=2,sequence=16")
    assert code == 0
    assert "attention's share" in out
    assert "%" in out
    found = json.loads(run("operations", small_plan_folder, "--at", "sequence=8", "--json")[1])
    assert found[0]["sizes"] == {"batch": 1, "sequence": 8}
    assert 0 < found[0]["attention_share"] < 1
    assert "not NAME=SIZE" in sentence(*run("operations", small_plan_folder, "--at", "sequence"))
    assert "did you mean 'sequence'" in sentence(*run("operations", small_plan_folder, "--at", "sequenc=8"))


def test_plots_need_matplotlib(run, small_plan_folder, monkeypatch):
    from tilewright.compiler.report import plot_file

    monkeypatch.setattr(plot_file, "find_spec", lambda _: None)
    assert "tilewright[plots]" in sentence(*run("characterize", "pcm-512", "-o", "found"))
    assert "tilewright[plots]" in sentence(*run("sensitivity", small_plan_folder, "--plot", "bars.pdf"))
    assert "tilewright[plots]" in sentence(*run("ablate", small_plan_folder, "--page", "page.html"))


def test_a_metric_that_gives_no_number(run, minilm_plan_folder, tmp_path):
    """Pairs of equal scores have no rank correlation."""
    (tmp_path / "dev.tsv").write_text("sentence1\tsentence2\tscore\nA\tB\t1\nC\tD\t1\n")
    code, _, words = run("evaluate", minilm_plan_folder, "--data", tmp_path, "--times", "1s", "--repeats", 1, "--json")
    assert code == 2
    assert "metric 'Spearman correlation x 100' gives NaN" in words


def test_help_and_version(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out.strip() == f"tilewright {tilewright.__version__}"
    code, out, _ = run("--help")
    assert code == 0
    assert all(name in out for name in ("compile", "report", "run", "evaluate", "targets"))


def test_wrong_input_is_one_sentence_and_leaves_nothing(
    run, small_bert_folder, small_plan_folder, inputs_file, tmp_path
):
    (tmp_path / "bad.npz").write_bytes(b"nonsense")
    np.savez(tmp_path / "objects.npz", x=np.array([{}], dtype=object))
    np.savez(tmp_path / "names.npz", input_idz=np.ones((1, 4), dtype=np.int64))
    np.savez(tmp_path / "shapes.npz", input_ids=np.ones(4, dtype=np.int64))
    (tmp_path / "bad.yaml").write_text("tile: {rowz: 1}")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.html")
    before = sorted(path.name for path in tmp_path.iterdir())
    run_on = ["run", small_plan_folder, "-o", "out.npz", "--inputs"]
    cases = {
        ("compile", "./missing", "-o", "p"): "no model folder",
        ("compile", "no-such-model", "-o", "p"): "'no-such-model' is not a model",
        ("compile", "empty", "-o", "p"): "config.json",
        ("compile", small_bert_folder, "-o", "no/such/place"): "does not exist",
        ("compile", small_bert_folder, "-o", "p", "--target", "pcm-51"): "did you mean 'pcm-512'",
        ("compile", small_bert_folder, "-o", "p", "--target", "bad.yaml"): "bad.yaml",
        ("compile", small_bert_folder, "-o", "p", "--attention-bits", "99"): "2 to 16",
        ("compile", small_bert_folder, "-o", "p", "--calibration", "missing.npz"): "no calibration file",
        ("compile", small_bert_folder, "-o", "p", "--calibration", "bad.npz"): "not a readable .npz",
        ("compile", small_bert_folder, "-o", "p", "--calibration", "names.npz"): "input_idz",
        ("report", "missing"): "no plan folder",
        ("report", "empty"): "plan.json",
        ("report", small_plan_folder, "--format", "jsn"): "did you mean 'json'",
        ("report", small_plan_folder, small_plan_folder, "--format", "csv"): "format csv is of one plan, 2 were given",
        ("report", *[small_plan_folder] * 3, "--format", "html"): "html compares two plans, 3 were given",
        ("report", small_plan_folder, "--format", "onnx"): "name a file to write it to with -o",
        ("report", small_plan_folder, "-o", "no/such/report.html"): "does not exist",
        ("report", small_plan_folder, "-o", "names.npz", "--format", "html"): "exists already",
        ("report", small_plan_folder, "-o", "report.pdf"): "known are .html, .json, .csv, .md, .onnx",
        ("report", small_plan_folder, "-o", "report"): "known are .html",
        ("report", small_plan_folder, "-o", "report.txt", "--format", "terminal"): "printed, not written to a file",
        ("report", small_plan_folder, "-o", "pipe.html", "--force"): "named pipe, not a regular file",
        ("report", small_plan_folder, "-o", "empty", "--format", "html", "--force"): "is a folder, not a regular file",
        ("report", small_plan_folder, "-o", f"{300 * 'x'}.html"): "File name too long",
        ("report", 300 * "x"): "File name too long",
        ("report", "a\nb"): "no plan folder 'a\\nb'",
        ("report", "pipe.html"): "no plan folder",
        ("targets", 300 * "x"): "File name too long",
        ("targets", "pipe.html"): "named pipe, not a regular file",
        ("compile", small_bert_folder, "-o", "empty", "--force"): "no plan.json of tilewright",
        ("compile", small_bert_folder, "-o", "pipe.html", "--force"): "is a named pipe",
        ("compile", small_bert_folder, "-o", 300 * "x"): "File name too long",
        ("characterize", "pcm-512", "-o", "empty", "--force"): "no characterization.json of tilewright",
        ("characterize", "pcm-512", "--seed", 10**30): "seed is of more than 30 digits",
        ("evaluate", small_plan_folder, "--data", "pipe.html"): "named pipe, not a regular file",
        ("evaluate", small_plan_folder, "--data", "missing", "--repeats", 10**12): "repeats is 1000000000000, allowed",
        ("evaluate", small_plan_folder, "--data", "missing", "--seed", 2**64): "seed is 18446744073709551616",
        ("sensitivity", small_plan_folder, "--samples", 0): "samples is 0",
        ("sensitivity", small_plan_folder, "--inputs", "pipe.html"): "not a regular file",
        (*run_on, "pipe.html"): "named pipe, not a regular file",
        (*run_on, "/dev/zero"): "is a device, not a regular file",
        (*run_on, inputs_file, "--repeats", 10**12): "repeats is 1000000000000, allowed is 1 to 1000000",
        (*run_on, inputs_file, "--seed", -(2**63)): "seed is -9223372036854775808, allowed",
        (*run_on, inputs_file, "--batch-size", 2**64): "batch size is 18446744073709551616",
        (*run_on, "missing.npz"): "no file",
        (*run_on, "bad.npz"): "not a readable .npz",
        (*run_on, "objects.npz"): "not a readable .npz",
        (*run_on, "names.npz"): "did you mean 'input_ids'",
        (*run_on, "shapes.npz"): "shape [4]",
        (*run_on, inputs_file, "--time", "-1s"): "before zero",
        (*run_on, inputs_file, "--time", "1x"): "one of the units",
        (*run_on, inputs_file, "--repeats", "0"): "repeats is 0",
        (*run_on, inputs_file, "--batch-size", "0"): "batch size is 0",
        ("evaluate", small_plan_folder, "--data", "missing"): "no data file",
        ("evaluate", small_plan_folder, "--data", "missing", "--task", "sstb"): "did you mean 'stsb'",
        (
            "evaluate",
            small_plan_folder,
            "--data",
            "x",
            "--task-option",
            "stride",
        ): "--task-option 'stride' is not KEY=VALUE",
        (
            "sensitivity",
            small_plan_folder,
            "--task",
            "stsb",
            "--data",
            "x",
            "--task-option",
            "a=1",
        ): "has no option 'a'",
        ("evaluate", small_plan_folder, "--data", "missing", "--times", "never"): "one of the units",
        ("compile", small_bert_folder, "-o", "p", "--assign", "pooler"): "has not the form of 'encoder.layer.0.*=NAME'",
        ("compile", small_bert_folder, "-o", "p", "--assign", "poler.*=pcm-512"): "matches no layer",
        ("compile", small_bert_folder, "-o", "p", "--programming", "pears"): "no programming method 'pears'",
        ("compile", small_bert_folder, "-o", "p", "--set", "tile.adc.bits"): "not KEY=VALUE",
        ("compile", small_bert_folder, "-o", "p", "--set", "tile.adc.bitz=8"): "did you mean 'bits'",
        ("compile", small_bert_folder, "-o", "p", "--set", "tile.adc.bits=[8"): "not a number, a word or null",
        ("compile", small_bert_folder, "-o", "p", "--attention-bits", "*.layer.9.*=8"): "matches no product",
        ("cost", small_plan_folder, "--preset", "projected-14"): "did you mean 'projected-14nm'",
        ("cost", small_plan_folder, "--at", "sequence"): "not NAME=SIZE",
        ("cost", small_plan_folder, "--at", "sequence=9999"): "allowed is 1 to 64",
        ("sensitivity", small_plan_folder, "--criterion", "divergance"): "did you mean 'divergence'",
        ("sensitivity", small_plan_folder, "--inputs", "missing.txt"): "no inputs file",
        ("sensitivity", small_plan_folder, "--inputs", "names.npz"): "did you mean 'input_ids'",
        ("sensitivity", small_plan_folder): "sensitivities need inputs: an .npz file (--inputs)",
        ("assign", small_plan_folder, "-o", "no/such/place"): "does not exist",
        ("assign", small_plan_folder, "-o", "p", "--at-most", "energy"): "has not the form of energy=60uJ",
        ("assign", small_plan_folder, "-o", "p", "--accuracy", "99%"): "name a task and its data",
        ("assign", small_plan_folder, "-o", "p", "--accuracy", "most"): "not a share such as 99%",
        ("targets", "pcm"): "did you mean 'pcm-512'",
        ("targets", "--kind", "analogue"): "did you mean 'analog'",
        ("targets", "--set", "tile.adc.bits=8"): "name it",
        ("characterize", "pcm"): "did you mean 'pcm-512'",
        ("characterize", "pcm-512", "--rows", "0"): "rows is 0",
        ("characterize", "pcm-512", "--times", "later"): "one of the units",
        ("characterize", "pcm-512", "-o", "no/such/place"): "does not exist",
    }
    for arguments, words in cases.items():
        assert words in sentence(*run(*arguments)), arguments
        assert sorted(path.name for path in tmp_path.iterdir()) == before, arguments


@pytest.mark.parametrize("ideal", [[], ["--ideal"]])
def test_outputs_of_many_repeats_are_counted_first(run, small_plan_folder, inputs_file, monkeypatch, tmp_path, ideal):
    from tilewright.runtime.storage import memory_budget

    monkeypatch.setattr(memory_budget, "memory_left", lambda: 10**9)
    options = ("run", small_plan_folder, "--inputs", inputs_file, "-o", "out.npz", "--repeats", 10**6, *ideal)
    assert "outputs of 1000000 repeats would take 12,800,000,000 bytes" in sentence(*run(*options))
    assert not (tmp_path / "out.npz").exists()


def test_unknown_options_are_refused(run):
    code, _, err = run("compile", "--outputt", "x")
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize("how", ["keyboard", "terminated"])
def test_interrupting_leaves_no_half_plan(run, small_bert_folder, tmp_path, monkeypatch, how):
    from tilewright.runtime.plan import files as plan_io

    def interrupt(*_):
        if how == "keyboard":
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal did not stop the program")

    monkeypatch.setattr(plan_io, "readable_json", interrupt)
    code, _, err = run("compile", small_bert_folder, "-o", "plan")
    assert code == 130
    assert "nothing half-done was left" in err
    assert list(tmp_path.iterdir()) == []


def test_a_bug_keeps_its_traceback(run, monkeypatch):
    from tilewright.compiler.cli import targets_command

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(targets_command, "load_document", broken)
    with pytest.raises(ZeroDivisionError):
        run("targets", "pcm-512")


@pytest.fixture
def mixed(small_bert_folder, run):
    """A plan with several targets a layer, in the working folder."""
    assert run("compile", small_bert_folder, "-o", "mixed", "--target", "pcm-512-mixed")[0] == 0
    return "mixed"


def test_sensitivity_and_assign(run, mixed, inputs_file):
    code, out, _ = run("sensitivity", mixed, "--inputs", inputs_file, "--repeats", 2)
    assert code == 0
    assert "rank correlation" in out
    assert "on digital-int8" in out
    common = ("--inputs", inputs_file, "--repeats", 2, "--json")
    found = json.loads(run("sensitivity", mixed, *common)[1])
    assert {figure["criterion"] for figure in found["figures"]} == {"divergence", "gradient"}
    code, out, err = run("assign", mixed, "-o", "new", "--minimise", "tiles", "--at-most", "loss=0.001", *common)
    assert code == 0, err
    made = json.loads(out)
    assert made["assignment"]["criterion"] == "gradient"
    measured = made["assignment"]["measured"]
    assert measured["chips"] == 2
    assert measured["seed"] == 1
    report = json.loads(run("report", "new", "--json")[1])
    assert {line["name"]: line["target"] for line in report["layers"]} == made["targets"]
    assert report["assignment"]["predicted"]["loss"] <= 0.001
    assert report["assignment"]["predicted"]["tiles"] == report["tiles"]
    assert "least tiles with loss at most 0.001" in " ".join(run("report", "new")[1].split())
    code, out, _ = run("diff", mixed, "new")
    assert code == 0
    assert "digital-" in out
    assert "cost of a run" in out
    code, out, err = run("assign", mixed, "-o", "other", "--inputs", inputs_file, "--repeats", 2)
    assert code == 0, err
    assert "exact (this plan)" in out
    assert "all on pcm-512" in out
    assert "impossible" not in out


def test_without_a_choice_assign_says_so(run, mixed, small_plan_folder, inputs_file):
    common = ("--inputs", inputs_file, "--repeats", 2, "--no-validate")
    words = "there was nothing to choose: no layer of the plan has options on two targets"
    assert words in run("assign", small_plan_folder, "-o", "same", *common)[1]
    assert words not in run("assign", mixed, "-o", "other", *common)[1]


def test_targets_that_are_not_there_are_refused_before_work_begins(run, mixed, small_bert_folder, monkeypatch):
    from tilewright.compiler import driver
    from tilewright.compiler.assignment import assign

    monkeypatch.setattr(driver, "trace", None)
    monkeypatch.setattr(assign, "measure_sensitivity", None)
    compiled = run("compile", small_bert_folder, "-o", "p", "--assign", "*=pcm-51")
    assert "but is not on chip pcm-512; did you mean 'pcm-512'" in sentence(*compiled)
    moved = run("assign", mixed, "-o", "p", "--assign", "*=pcm-51")
    assert "cannot run on 'pcm-51'; did you mean 'pcm-512'" in sentence(*moved)


def test_an_impossible_budget_leaves_nothing_behind(run, mixed, inputs_file, tmp_path):
    done = run("assign", mixed, "-o", "new", "--inputs", inputs_file, "--repeats", 2, "--at-most", "energy=1nJ")
    assert "no assignment has energy at most 1 nJ; the closest has energy" in sentence(*done)
    assert not (tmp_path / "new").exists()


def test_cost(run, small_plan_folder):
    code, out, _ = run("cost", small_plan_folder, "--at", "sequence=8", "--at", "sequence=64", "--layers")
    assert code == 0
    assert "projected figures" in out
    assert "array+dac+adc" in out
    assert "pooler.dense" in out
    assert "not modelled: softmax_and_norms" in out
    assert "assumed: " in out
    assert "of BF16's energy" in out
    first, second = json.loads(run("cost", small_plan_folder, "--at", "sequence=8", "--at", "sequence=64", "--json")[1])
    assert first["energy_nj"] < second["energy_nj"]
    assert first["tokens"] == 8
    assert first["energy_nj"] == pytest.approx(sum(first["components"].values()))
    (other,) = json.loads(run("cost", small_plan_folder, "--preset", "nature-2023-measured", "--json")[1])
    assert other["status"] == "measured"


def test_reports_are_written_by_their_ending(run, small_plan_folder, tmp_path):
    for ending, words in (("html", "<!doctype html>"), ("csv", "model,chip,name"), ("md", "### "), ("json", '"model"')):
        code, _, err = run("report", small_plan_folder, "-o", f"report.{ending}")
        assert code == 0
        assert words in (tmp_path / f"report.{ending}").read_text()
        assert "written to" in err
    assert run("report", small_plan_folder, "-o", "placed.onnx")[0] == 0
    assert run("report", small_plan_folder, "--format", "trace", "-o", "trace.json")[0] == 0
    assert json.loads((tmp_path / "trace.json").read_text())["displayTimeUnit"] == "ns"
    code, out, _ = run("report", small_plan_folder, small_plan_folder, "--format", "csv-summary")
    assert code == 0
    assert len(out.splitlines()) == 3
    code, out, _ = run("report", small_plan_folder, small_plan_folder, "--format", "html")
    assert code == 0
    assert "Two plans" in out
