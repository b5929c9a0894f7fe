"""Plans with changed documents, through every command that reads one."""

import copy
import json
import random
import shutil
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from tests.fuzz import bases, hostile, nodes, trees
from tests.fuzz.child import caught_output
from tests.fuzz.corpus import CORPUS
from tests.fuzz.program import called, refused, typed
from tilewright import load
from tilewright.compiler.cli import cost_command, diff_command, explain_command, operations_command, report_command
from tilewright.compiler.cli import run_command as running
from tilewright.compiler.report import formats, summary
from tilewright.runtime.plan import plan as plans_module
from tilewright.targets.errors import InputError

SHARES = {"mlp": 5, "mixed": 3, "hermes": 2, "cnn": 3, "bert": 2, "config": 1, **{f"v{n}": 1 for n in range(1, 7)}}
CHANGES = {trees.edit: 56, nodes.splice: 30, nodes.rewire: 4, nodes.change_argument: 10}
LARGEST_INPUT = 10**5
"""Elements of an input that a mutant is run with."""
EXPLAINED = 2
"""Layers and products that are explained of a mutant."""
USUAL_SIZE = 8
"""Size of every dimension that may vary, which all bases take."""


def warm():
    """Make the bases, and import all that commands import."""
    for name in bases.plans():
        _base(name)
    for name in ("cnn", "bert"):
        with TemporaryDirectory() as folder, caught_output():
            commands(bases.plans()[name], name, random.Random(0), Path(folder), sizes=(USUAL_SIZE,))


def run(seed, folder):
    choose = random.Random(f"plans {seed}")
    if seed < len(CORPUS):
        base, change = CORPUS[seed]
        document = copy.deepcopy(_base(base))
        text = json.dumps(change(document) or document)
    else:
        base = choose.choices(list(SHARES), list(SHARES.values()))[0]
        text = mutant(json.loads(_text(base)), choose)
    shutil.copytree(bases.plans()[base], folder, dirs_exist_ok=True)
    (folder / "plan.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    return commands(folder, base, choose, folder)


def mutant(document, choose):
    """The text of a plan.json with one to five changes."""
    for _ in range(choose.choices((1, 2, 3, 5), (70, 15, 10, 5))[0]):
        change = choose.choices(list(CHANGES), list(CHANGES.values()))[0]
        try:
            change(document, choose)
        except (KeyError, TypeError, AttributeError, IndexError):
            continue  # an earlier change took away what this one needs
    text = json.dumps(document)
    if choose.random() < 0.02:
        depth = choose.choice((100, 900, 10**5))
        text = text.replace("null", "[" * depth + "]" * depth, choose.choice((1, 3)))
    if choose.random() < 0.03:
        text = trees.damage(text.encode(), choose).decode(errors="replace")
    return text


def commands(folder, base, choose, place, sizes=(USUAL_SIZE, USUAL_SIZE, 1, 2, 5)):
    """Everything that is done with a plan, each by the function of its command; loaded and summarised once.

    Returns how far it came. place: a folder to write in. sizes: those that inputs may have.
    """
    try:
        loaded = load(folder)
    except InputError as error:
        refused(error)
        if choose.random() < 0.05:
            typed(["report", folder])
        return "refused at load"
    with ExitStack() as stack:
        stack.enter_context(patch.object(plans_module, "load", lambda path: loaded if path == folder else _plan(base)))
        summarise = _once(summary.summarise)
        for module in (summary, formats):
            stack.enter_context(patch.object(module, "summarise", summarise))
        shown = called(report_command.report_command, [folder], weights=True)
        for kind, printed in (
            ("html", "html"), ("json", "json"), ("csv", "csv"), ("csv-summary", "csv"), ("markdown", "markdown"),
            ("trace", "trace"),
        ):  # fmt: skip
            called(report_command.report_command, [folder], kind, printed=printed)
        called(report_command.report_command, [folder], "onnx", place / "graph.onnx", force=True)
        document = loaded.document
        names = [*(layer.name for layer in document.layers), *(matmul.name for matmul in document.matmuls)]
        for name in choose.sample(names, min(EXPLAINED, len(names))):
            called(explain_command.explain_command, folder, name)
        called(diff_command.diff_command, bases.plans()[base], folder)
        called(operations_command.operations_command, folder, as_json=True, printed="json")
        called(cost_command.cost_command, folder, layers=True)
        if choose.random() < 0.1:
            called(report_command.report_command, [bases.plans()[base], folder], "html", printed="html")
            at = ",".join(f"{name}={choose.choice(hostile.SIZES)}" for name in loaded.document.dimensions)
            called(cost_command.cost_command, folder, sizes=[at], as_json=True, printed="json")
    if choose.random() < 0.04:
        typed(["report", folder])
        typed(["explain", folder, "layer", "--json"])
    ran = inputs_for(loaded, place / "inputs.npz", choose.choice(sizes)) and called(
        running.run_command, folder, place / "inputs.npz", place / "outputs.npz", time="1h", force=True
    )
    return "ran" if ran else "reported" if shown else "loaded"


def inputs_for(plan, path, usual):
    """True if inputs of sizes ``usual`` where they may vary, written to ``path``, may fit the plan."""
    arrays = {}
    for record in plan.document.inputs:
        shape = []
        for size in record.shape:
            limits = plan.document.dimensions.get(size) if isinstance(size, str) else None
            shape.append(size if isinstance(size, int) else max(limits.minimum if limits else 1, usual))
        kind = getattr(torch, record.dtype, None)
        if min(shape, default=1) < 0 or np.prod(shape, dtype=float) > LARGEST_INPUT:
            return False
        floats = isinstance(kind, torch.dtype) and kind.is_floating_point
        arrays[record.name] = np.full(shape, 0.5, np.float32) if floats else np.ones(shape, np.int64)
    try:
        np.savez(path, allow_pickle=False, **arrays)
    except (TypeError, ValueError, OSError):
        return False  # a name that no file can hold
    return bool(arrays)


def _once(function):
    """A function of one argument that is called once; it refuses a second time as it did the first."""
    known: dict[int, tuple[Any, InputError | None]] = {}

    def remembered(argument):
        if id(argument) not in known:
            try:
                known[id(argument)] = function(argument), None
            except InputError as error:
                known[id(argument)] = None, error
        result, refusal = known[id(argument)]
        if refusal is not None:
            raise refusal
        return result

    return remembered


@cache
def _text(base):
    return (bases.plans()[base] / "plan.json").read_text(encoding="utf-8")


@cache
def _base(base):
    return json.loads(_text(base))


@cache
def _plan(base):
    return load(bases.plans()[base])
