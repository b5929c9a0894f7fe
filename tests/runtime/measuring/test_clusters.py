"""Chips measured on a dask cluster: the same bits, also when a worker dies; and what is wrong is one sentence."""

from typing import Any

import pytest
import torch
import yaml

import tilewright
from tests import lora_adapters
from tests.runtime.measuring.test_workers import pieces, right, thirds
from tilewright.runtime.measuring.clusters import dask_executor
from tilewright.runtime.measuring.workers import do_all
from tilewright.targets.errors import InputError

pytest.importorskip("distributed", reason="clusters need dask.distributed")


@pytest.fixture(scope="module")
def description(tmp_path_factory):
    """A cluster of two processes on this machine."""
    path = tmp_path_factory.mktemp("cluster") / "local.yaml"
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    path.write_text(yaml.safe_dump({"cluster": "local", "options": options}))
    return path


def test_a_cluster_gives_the_same_bits_and_outlives_a_worker(description, tmp_path):
    plan = tilewright.compile(lora_adapters.Classifier().eval(), example_inputs={"x": lora_adapters.inputs()})
    plan = tilewright.load(plan.save(tmp_path / "plan"))
    labels = torch.arange(6) % lora_adapters.CLASSES
    given: dict[str, Any] = {
        "metric": right,
        "inputs": {"x": lora_adapters.inputs()},
        "labels": labels,
        "times": ["1s", "1mo"],
    }
    with dask_executor(str(description)) as executor:
        there = tilewright.evaluate(plan, **given, repeats=2, resamples=0, executor=executor)
        killed = sorted(do_all(thirds, pieces(tmp_path, 1, 3), executor=executor))
    assert there == tilewright.evaluate(plan, **given, repeats=2, resamples=0)
    assert [part for _, part in killed] == [10, 11, 12, 30, 31, 32]
    assert (tmp_path / "3").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("cluster: slurn", "'slurn'; did you mean 'slurm'"),
        ("cluster: [1]", "cluster is"),
        ("cluster: local\njob: 3", "did you mean 'jobs'"),
        ("cluster: local\njobs: -1", "jobs is -1"),
        ("cluster: local\noptions: {n_worker: 2}", "LocalCluster does not begin with these options: .*n_worker"),
        ("[", "is no YAML"),
        ("- 1", "must have cluster"),
        ("cluster: kubernetes", "pip install 'dask-kubernetes'"),
    ],
)
def test_a_wrong_description_is_one_sentence(tmp_path, content, said):
    (tmp_path / "cluster.yaml").write_text(content)
    with pytest.raises(InputError, match=said), dask_executor(str(tmp_path / "cluster.yaml")):
        pass


def test_a_scheduler_that_is_not_there_is_one_sentence():
    with pytest.raises(InputError, match="there is no file"), dask_executor("nowhere.yaml"):
        pass
