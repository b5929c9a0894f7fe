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
    assert found == tilewright.sweep(plan, {"tile.adc.bits": [6, 10]}, "glue/sst2", tmp_path, **how)
    arguments = ["study", str(file), "--source", str(tmp_path / "plan"), "--data", str(tmp_path)]
    plot = tmp_path / "plot.svg"
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
        (HEAD + "study: ablate\nsource: x", "names no data"),
        (HEAD + "study: sweep\nsource: nowhere\ndata: x", "nothing varies"),
    ],
)
def test_a_file_that_is_wrong_is_one_sentence(tmp_path, content, said):
    (tmp_path / "study.yaml").write_text(content)
    with pytest.raises(InputError, match=said):
        run_study(tmp_path / "study.yaml")
