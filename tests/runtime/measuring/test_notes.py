"""Notes beside figures: that they were not kept and why, and that a seed names another chip than it did."""

import os
from dataclasses import replace
from typing import Any

import pytest
import torch

import tilewright
from tests.networks import stack
from tilewright.runtime.measuring.kept_evaluations import FILE, keep_evaluation, kept_evaluations
from tilewright.runtime.tasks.metrics import accuracy
from tilewright.targets.draws_version import VERSION

HOW: dict[str, Any] = {"times": ["1s"], "repeats": 1, "resamples": 0}


@pytest.fixture(scope="module")
def given():
    """A plan of a small classifier, and what to measure it on."""
    torch.manual_seed(0)
    model, x = stack(8, 16, 3), torch.randn(12, 8)
    plan = tilewright.compile(model, example_inputs=x[:2])
    return plan, {"metric": accuracy(3), "inputs": x, "labels": model(x).argmax(dim=1), "readout": classes}


def classes(outputs):
    return next(iter(outputs.values())).argmax(dim=1)


@pytest.fixture
def saved(given, tmp_path):
    """A function that evaluates the plan once it is saved and something was done to its folder: (evaluation, plan)."""
    plan = tilewright.load(given[0].save(tmp_path / "plan"))

    def evaluated(change=lambda: None, **options):
        change()
        return tilewright.evaluate(plan, **given[1], **HOW, **options), plan

    return evaluated


def test_what_is_kept_says_nothing(saved):
    found, plan = saved()
    assert not [note for note in found.notes if "kept" in note]
    (kept,) = kept_evaluations(plan)
    assert kept["notes"] == found.notes
    assert "further_notes" not in found.to_json()


def test_a_folder_that_may_not_be_written_is_said(saved, tmp_path, monkeypatch):
    folder, may = tmp_path / "plan", os.access
    monkeypatch.setattr(os, "access", lambda path, *rest: str(path) != str(folder) and may(path, *rest))
    found, plan = saved()
    why = f"nothing was kept: no permission to write in {str(folder)!r}"
    assert found.notes[-1] == f"{why}; --results FILE keeps it elsewhere"
    assert found.to_json()["notes"] == found.notes
    log = tmp_path / "log.jsonl"
    assert saved(results=log)[0].notes[-1] == f"{why}; {str(log)!r} has its figures"
    assert kept_evaluations(plan) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [(lambda file: file.symlink_to("elsewhere"), "is a link, which is not followed"),
     (lambda file: file.mkdir(), "is a folder, not a regular file"),
     (lambda file: file.parent.rename(file.parent.with_name("moved")), "is not there any more")],
)  # fmt: skip
def test_other_reasons_are_said_too(saved, tmp_path, change, words):
    found, _ = saved(lambda: change(tmp_path / "plan" / FILE))
    assert found.notes[-1].startswith("nothing was kept: ")
    assert words in found.notes[-1]


def test_a_full_disk_loses_no_evaluation(saved, monkeypatch):
    def full(path, _entry):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("tilewright.runtime.measuring.kept_evaluations.add_line", full)
    found, _ = saved()
    assert "cannot be written: No space left on device" in found.notes[-1]


def test_a_plan_in_memory_has_nothing_to_keep_in(given):
    plan, inputs = given
    assert keep_evaluation(plan, {}) is None
    assert not [note for note in tilewright.evaluate(plan, **inputs, **HOW).notes if "kept" in note]


def test_figures_of_sensitivity_that_are_not_kept_are_said(given, tmp_path):
    folder = given[0].save(tmp_path / "plan")
    plan, options = tilewright.load(folder), dict[str, Any](criteria=["weight-error"], repeats=1)
    assert tilewright.measure_sensitivity(plan, **options).notes == []
    (folder / "sensitivity.jsonl").unlink()
    (folder / "sensitivity.jsonl").symlink_to("elsewhere")
    (note,) = tilewright.measure_sensitivity(plan, **options).notes
    assert note.startswith("the figures were not kept: ")
    assert "is a link, which is not followed" in note


def test_an_older_plans_seeds_are_said_to_name_other_chips(given):
    plan, inputs = given
    older = replace(plan, document=plan.document.model_copy(update={"draws": VERSION - 1}))
    words = f"are of version {VERSION - 1} of the random numbers"
    run: dict[str, Any] = {"inputs": {plan.document.inputs[0].name: inputs["inputs"]}}
    for one, count in ((older, 1), (plan, 0)):
        ran, evaluated = tilewright.run(one, **run), tilewright.evaluate(one, **inputs, **HOW)
        for notes in (ran.notes, ran.to_json()["notes"], evaluated.notes, tilewright.summarise(one).warnings):
            assert len([note for note in notes if words in note]) == count
    assert tilewright.run(older, **run, ideal=True).notes == [], "the digital reference draws nothing"
