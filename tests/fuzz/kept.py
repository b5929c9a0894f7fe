"""Files kept beside a plan, changed: evaluations, sensitivities, accuracies, and logs of measurements."""

import json
import random
import shutil

import numpy as np

from tests.fuzz import bases, hostile, plans, trees
from tests.fuzz.program import called, refused
from tilewright.compiler.assignment import search
from tilewright.compiler.cli import explain_command, report_command, sensitivity_command
from tilewright.compiler.sensitivity.measure import CACHE_FILE
from tilewright.runtime.measuring import kept_evaluations
from tilewright.runtime.measuring.measurements import MeasurementLog
from tilewright.targets.errors import InputError

FILES = (CACHE_FILE, kept_evaluations.FILE, search.CACHE_FILE)
FORMATS = {"terminal": "terminal", "html": "html", "json": "json", "csv": "csv", "markdown": "markdown"}


def warm():
    plans.warm()


def run(seed, folder):
    choose = random.Random(f"kept {seed}")
    shutil.copytree(bases.plans()["mixed"], folder, dirs_exist_ok=True)
    for name in choose.sample(FILES, choose.choice((1, 1, 3))):
        path = folder / name
        path.write_bytes(changed(path.read_bytes(), choose))
    for kind, printed in FORMATS.items():
        called(report_command.report_command, [folder], kind, weights=True, printed=printed)
    called(explain_command.explain_command, folder, "a")
    np.savez(folder / "inputs.npz", ids=np.zeros((2, 5), np.int64))
    resumed = called(
        sensitivity_command.sensitivity_command,
        folder,
        criteria=["weight-error", "divergence"],
        inputs=folder / "inputs.npz",
        repeats=1,
    )
    try:
        MeasurementLog(folder / search.CACHE_FILE, {}).measure({"new": hostile.text(choose)}, lambda: 1.0)
    except InputError as error:
        refused(error)
    called(report_command.report_command, [folder], "json", printed="json")
    return "resumed" if resumed else "reported"


def changed(content, choose):
    """Lines of JSON with changes in some, or damaged as bytes."""
    if choose.random() < 0.3:
        return trees.damage(content, choose)
    lines = content.splitlines()
    for _ in range(choose.choice((1, 1, 2, 4))):
        place = choose.randrange(len(lines))
        try:
            entry = json.loads(lines[place])
        except ValueError:
            continue
        trees.edit(entry, choose)
        text = json.dumps(entry if choose.random() < 0.95 else hostile.anything(choose))
        lines[place] = text.encode("utf-8", "surrogatepass")
    if choose.random() < 0.2:
        lines.insert(choose.randrange(len(lines) + 1), json.dumps(hostile.anything(choose)).encode())
    return b"\n".join(lines) + (b"\n" if choose.random() < 0.7 else b"")
