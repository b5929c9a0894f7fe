"""Executors on other machines, by dask.distributed: a running scheduler, or a cluster that a YAML file describes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from tilewright.targets.errors import InputError, nearest
from tilewright.targets.paths import FILE, kind_of, read_text, shown_path
from tilewright.targets.plain_yaml import read_plain
from tilewright.targets.shown import shown

KINDS = {
    "local": ("distributed", "LocalCluster", "tilewright[dask]"),
    "slurm": ("dask_jobqueue", "SLURMCluster", "dask-jobqueue"),
    "pbs": ("dask_jobqueue", "PBSCluster", "dask-jobqueue"),
    "lsf": ("dask_jobqueue", "LSFCluster", "dask-jobqueue"),
    "sge": ("dask_jobqueue", "SGECluster", "dask-jobqueue"),
    "htcondor": ("dask_jobqueue", "HTCondorCluster", "dask-jobqueue"),
    "kubernetes": ("dask_kubernetes.operator", "KubeCluster", "dask-kubernetes"),
}
"""Kinds of clusters: the module and class of each, and the package that has it."""
KEYS = ("cluster", "jobs", "options")
LARGEST = 2**20  # bytes of YAML


@contextmanager
def dask_executor(where: str | None) -> Iterator[Executor | None]:
    """Executor on a dask cluster, for as long as the block lasts; None for None.

    where: address of a scheduler, such as tcp://host:8786, its scheduler file (.json), or a YAML file with ``cluster``
    (local, slurm, pbs, lsf, sge, htcondor, kubernetes), ``jobs``, and ``options``, the arguments of dask's own class.
    Raises ``InputError`` for a description that is wrong, a package that is missing, and a scheduler that does not
    answer.
    """
    if where is None:
        yield None
        return
    client_of = _of_package("distributed", "Client", "tilewright[dask]")
    with ExitStack() as stack:
        try:
            if "://" in where:
                client = client_of(where)
            elif where.endswith(".json"):
                client = client_of(scheduler_file=str(_file(where)))
            else:
                client = client_of(stack.enter_context(_cluster(Path(where))))
        except OSError as error:
            raise InputError(f"no dask scheduler answers at {shown(where)}: {error}") from error
        stack.enter_context(client)
        yield client.get_executor()


@contextmanager
def _cluster(path: Path) -> Iterator[Any]:
    """Cluster that a YAML file describes."""
    description = _description(path)
    module, name, package = KINDS[description["cluster"]]
    cluster_class = _of_package(module, name, package)
    quiet = logging.getLogger("distributed")
    before = quiet.level
    quiet.setLevel(logging.CRITICAL)  # it logs a traceback of what is told in a sentence
    try:
        cluster = cluster_class(**description.get("options", {}))
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise InputError(f"{shown_path(path)}: {name} does not begin with these options: {cause}") from error
    finally:
        quiet.setLevel(before)
    with cluster:
        if "jobs" in description:
            cluster.scale(description["jobs"])
        yield cluster


def _description(path: Path) -> dict[str, Any]:
    try:
        found = read_plain(read_text(_file(str(path)), "description of a cluster", LARGEST))
    except yaml.YAMLError as error:
        raise InputError(f"{shown_path(path)} is no YAML: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("options", {}), dict):
        raise InputError(f"{shown_path(path)} must have cluster, and may have jobs and options")
    for key in found:
        if key not in KEYS:
            raise InputError(f"{shown_path(path)} has {shown(key)}; {nearest(str(key), KEYS)}")
    kind = found.get("cluster")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"{shown_path(path)}: cluster is {shown(kind)}; {nearest(str(kind), KINDS)}")
    jobs = found.get("jobs", 1)
    if not isinstance(jobs, int) or isinstance(jobs, bool) or jobs < 1:
        raise InputError(f"{shown_path(path)}: jobs is {shown(jobs)}; allowed is a whole number from 1")
    return found


def _file(where: str) -> Path:
    path = Path(where)
    if kind_of(path) != FILE:
        raise InputError(f"there is no file {shown_path(path)}; name a dask scheduler (tcp://host:8786) or a file")
    return path


def _of_package(module: str, name: str, package: str) -> Any:
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise InputError(f"{name} is not installed: pip install {package!r}") from error
