"""Studies as files: what is there is run, and what is wrong is one sentence."""

from pathlib import Path
from typing import Any

import pytest
from transformers import BertForSequenceClassification
from typer.testing import CliRunner

import tilewright
from tilewright.compiler.cli.app import app
from tilewright.compiler.studies.study import OF_COMPILE
from tilewright.compiler.studies.study_file import read_study, run_study
from tilewright.compiler.studies.variations import values_of
from tilewright.targets.errors import InputError

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "studies").glob("*.yaml"))
HEAD = "kind: study\ntitle: t\n"
BOMB = "".join(f"  x{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else '*a'] * 9)}]\n" for n in range(9))
"""Aliases by which a page is a thousand million numbers."""


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_studies_whose_variants_are_there(path):
    said = read_study(path)
    assert f"examples/studies/{path.name}" in path.read_text()
    for key, values in said.vary.items():
        for value in values_of(key, values):
            if key not in OF_COMPILE:
                tilewright.load_chip("pcm-512", {key: value})


def test_a_file_is_run_as_its_command(small_model, tmp_path):
    _, plan = small_model(BertForSequenceClassification, ("negative", "positive"))
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\n" + "a fine film\t1\na dull one\t0\n" * 3)
    plan.save(tmp_path / "plan")
    file = tmp_path / "study.yaml"
    file.write_text(HEAD + "study: sweep\nvary: {tile.adc.bits: [6, 10]}\ntask: glue/sst2\ntimes: [1s]\nrepeats: 2\n")
    found = run_study(file, source=tmp_path / "plan", data=tmp_path)
    how: dict[str, Any] = {"times": ["1s"], "repeats": 2}
    assert found.points == tilewright.sweep(plan, {"tile.adc.bits": [6, 10]}, "glue/sst2", tmp_path, **how).points
    arguments = ["study", str(file), "--source", str(tmp_path / "plan"), "--data", str(tmp_path)]
    plot = tmp_path / "plot.svg"
    assert found.title.startswith("t: tile.adc.bits")
    done = CliRunner().invoke(app, [*arguments, "--plot", str(plot), "--format", "csv"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0].startswith("tile.adc.bits,digital,1s")
    assert plot.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1", "is no YAML"),
        ("- 1", "must hold keys and values"),
        (HEAD + "study: swep", "study is 'swep'"),
        (HEAD + "study: sweep\nvari: {}", "did you mean 'vary'"),
        (HEAD + "study: sweep\nrepeats: many", "repeats is 'many'"),
        ("kind: study\nstudy: sweep", "title is missing"),
        (HEAD + "study: sweep\ndata: x", "names no source"),
        (HEAD + "study: sweep\nsource: nowhere\ndata: x", "nothing varies"),
        (HEAD + "study: ablate\nsource: x\nvary: {tile.adc.bits: [4]}", "vary is of sweep, and the study is ablate"),
        (HEAD + "study: sweep\nsource: x\nmethod: rank", "method is of pareto, and the study is sweep"),
        (HEAD + "study: sweep\nrepeats: 1\nrepeats: 2", "is there twice"),
        (HEAD + "study: sweep\nrepeats: true", "repeats is"),
        (HEAD + "study: sweep\nuntil_error: true", "until_error"),
        (HEAD + "study: sweep\nlimit: 010", "begins with 0"),
        ("kind: study\nstudy: sweep\ntitle: 2020-13-45", "is no YAML"),
        ("kind: study\nstudy: sweep\ntitle: !!bool x", "is no YAML"),
        ("kind: study\nstudy: sweep\ntitle: !!int ''", "is no YAML"),
        (
            HEAD + "study: sweep\nvary:\n  - &a [1]\n" + "".join(f"  - &a{n} [{'*a, ' * 9} *a]\n" for n in range(9)),
            "study",
        ),
    ],
)
def test_a_file_that_is_wrong_is_one_sentence(tmp_path, content, said):
    (tmp_path / "study.yaml").write_text(content)
    with pytest.raises(InputError, match=said):
        run_study(tmp_path / "study.yaml")


def test_files_of_a_study_are_not_each_other(small_model, tmp_path, monkeypatch):
    _, plan = small_model(BertForSequenceClassification, ("negative", "positive"))
    plan.save(tmp_path / "plan")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.html").write_text("mine")
    for options, said in (
        (["--page", "a.jsonl"], "is written as .html"),
        (["--page", "old.html"], "exists already"),
        (["--plot", "plot.txt"], "ending"),
        (["--data", "x.html", "--page", "x.html"], "are the same file"),
        (["--results", "a.svg", "--plot", "a.svg"], "are the same file"),
    ):
        done = CliRunner().invoke(app, ["ablate", "plan", *options])
        assert isinstance(done.exception, InputError), done.output
        assert said in str(done.exception)
    assert (tmp_path / "old.html").read_text() == "mine"
