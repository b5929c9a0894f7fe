"""Scripts and descriptions of docs/clusters.md run as they stand there, on programs that stand for a cluster's."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.narrowing import present

PAGE = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text()
SBATCH = """#!/bin/bash
bash "$1" > "$1.log" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
kill "$@" 2> /dev/null
"""


def block(kind, beginning):
    """The block of that kind that begins so."""
    return present(re.search(rf"```{kind}\n({re.escape(beginning)}.*?)```", PAGE, re.DOTALL)).group(1)


@pytest.fixture
def place(classifier, tmp_path, monkeypatch):
    """A folder as the page has it: a plan, SST-2, and tilewright on the path."""
    _, plan = classifier(2)
    plan.save(tmp_path / "plan")
    (tmp_path / "SST-2").mkdir()
    (tmp_path / "SST-2" / "dev.tsv").write_text("sentence\tlabel\na fine film\t1\na dull film\t0\nso bad\t0\n")
    commands = tmp_path / "bin"
    commands.mkdir()
    tilewright = f'#!/bin/bash\nexec {sys.executable} -m tilewright "$@"\n'
    for name, content in (("tilewright", tilewright), ("sbatch", SBATCH), ("scancel", SCANCEL)):
        (commands / name).write_text(content)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chips_in(path):
    """(chip, time) of all measurements of a file but the digital one."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return sorted((one["repeat"], one["seconds"]) for one in entries if "repeat" in one)


def bash(script, **variables):
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_job_array_measures_its_part_and_parts_are_merged(place):
    script = block("bash", "#!/bin/bash\n#SBATCH --array")
    script = (
        script.replace("* 5", "* 2").replace("+ 5", "+ 2").replace("--workers 4", "--workers 1")
    )  # as large, but fewer
    for job in ("0", "1"):
        bash(script, SLURM_ARRAY_TASK_ID=job)
    assert {chip for chip, _ in chips_in(place / "part-1.jsonl")} == {2, 3}
    assert len(chips_in(place / "part-1.jsonl")) == 2 * 3
    merging = present(re.search(r"    (tilewright evaluate [^\n]*\\\n[^\n]*part-0[^\n]*)", PAGE)).group(1)
    merging = re.sub(r"--results part-[2-9]\.jsonl", "", merging.replace("--repeats 25", "--repeats 4"))
    bash(merging)
    assert not (place / "all.jsonl").exists()  # all were known; an evaluation says what they are together
    kept = json.loads((place / "plan" / "evaluations.jsonl").read_text().splitlines()[-1])
    assert [len(point["values"]) for point in kept["points"]] == [4, 4, 4]


@pytest.mark.slow
def test_the_job_of_kubernetes_measures_its_part(place):
    job = yaml.safe_load(block("yaml", "apiVersion: batch/v1"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["bash", "-c"]
    (volume,) = container["volumeMounts"]
    (script,) = container["args"]
    script = script.replace(f"{volume['mountPath']}/", f"{place}/").replace("* 5", "* 2").replace("+ 5", "+ 2")
    bash(script, JOB_COMPLETION_INDEX="3")
    assert {chip for chip, _ in chips_in(place / "part-3.jsonl")} == {6, 7}


@pytest.mark.slow
def test_the_description_of_a_slurm_cluster_starts_jobs(place):
    pytest.importorskip("dask_jobqueue", reason="job queues need dask-jobqueue")
    described = block("yaml", "cluster: slurm")
    (place / "cluster.yaml").write_text(described.replace("jobs: 8", "jobs: 1").replace("8GB", "2GB"))
    assert shutil.which("sbatch") == str(place / "bin" / "sbatch")
    command = "tilewright evaluate plan --task glue/sst2 --data SST-2 --times 1s --repeats 3 --results {}.jsonl"
    bash(f"{command.format('dask')} --dask cluster.yaml")
    bash(command.format("here"))
    values = [
        {one["id"]: one["value"] for one in map(json.loads, (place / f"{name}.jsonl").read_text().splitlines())}
        for name in ("dask", "here")
    ]
    assert values[0] == values[1]
    assert len(values[0]) == 1 + 3
