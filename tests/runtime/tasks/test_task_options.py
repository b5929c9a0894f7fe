"""Options of tasks: handed to the constructor, part of what is measured, refused where there are none such."""

from typing import Any

import pytest
import torch

import tilewright
from tests.networks import stack
from tilewright.compiler.cli.settings import parse_task_options
from tilewright.runtime.tasks.finding import make_task
from tilewright.targets.errors import InputError

OWN = """
import torch
import tilewright


class Largest(tilewright.Task):
    metric = tilewright.Metric("accuracy, %", lambda found, wanted: 100 * (found == wanted).float().mean(), 5.0)

    def __init__(self, plan, data, limit, *, shift=0, classes=None):
        self.samples = [{"input": x} for x in torch.load(data)[:limit]]
        self.labels = torch.zeros(len(self.samples), dtype=torch.long)
        self.shift = shift

    def read(self, inputs, outputs):
        return (outputs["output"].argmax(dim=-1) + self.shift) % 3


class Needy(Largest):
    def __init__(self, plan, data, limit, *, column):
        super().__init__(plan, data, limit)


class Open(Largest):
    def __init__(self, plan, data, limit, **options):
        super().__init__(plan, data, limit, shift=options["shift"])
"""


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    return tilewright.compile(stack(8, 16, 3), example_inputs=torch.randn(2, 8))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A file of tasks, and its data."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(OWN)
    torch.save(torch.randn(40, 8, generator=torch.Generator().manual_seed(1)), folder / "x.pt")
    return str(folder / "own.py"), folder / "x.pt"


def test_options_are_part_of_what_is_measured(plan, own, tmp_path):
    """Options that change the readout alone are other measurements too, in one log."""
    file, data = own
    how: dict[str, Any] = {"times": ["1s"], "repeats": 1, "results": tmp_path / "log.jsonl"}
    cases: list[dict[str, Any] | None] = [None, {}, {"shift": 1}, {"shift": 2}, {"classes": [1, 2]}]
    found = [tilewright.evaluate(plan, f"{file}:Largest", data, task_options=options, **how) for options in cases]
    names = [one.data for one in found]
    assert names[0] == names[1]
    assert len(set(names)) == 4
    assert sum(one.digital for one in found[1:4]) == pytest.approx(100)  # each sample is of one of three classes
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4 * 2
    open_task = make_task(plan, f"{file}:Open", data, None, {"shift": 1})
    assert open_task.measure(tilewright.Session(plan, ideal=True), 64) == found[2].digital


def test_sensitivity_and_assign_take_them(plan, own):
    file, data = own
    how: dict[str, Any] = {
        "task": f"{file}:Largest",
        "data": data,
        "repeats": 2,
        "inputs": {"input": torch.randn(4, 8)},
    }
    found = [
        tilewright.measure_sensitivity(plan, ["task"], task_options={"shift": shift}, **how).figures for shift in (0, 1)
    ]
    assert found[0] != found[1]
    with pytest.raises(InputError, match="has no option 'shift_'"):
        tilewright.assign(plan, accuracy="99%", task_options={"shift_": 1}, **how)


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        (
            "Largest",
            {"shifted": 1},
            "Largest' has no option 'shifted'; did you mean 'shift'[?] allowed: classes, shift",
        ),
        ("Largest", {"limit": 1}, "has no option 'limit'"),
        ("Needy", {}, "needs the option 'column'"),
    ],
    ids=["unknown", "given already", "missing"],
)
def test_options_that_do_not_fit(plan, own, task, options, words):
    file, data = own
    with pytest.raises(InputError, match=words):
        make_task(plan, f"{file}:{task}", data, None, options)


def test_where_there_are_no_options(plan, own):
    with pytest.raises(InputError, match="task 'glue/stsb' has no option 'stride'; it takes none"):
        make_task(plan, "glue/stsb", own[1], None, {"stride": 1})
    made = make_task(plan, f"{own[0]}:Largest", own[1], 3)
    with pytest.raises(InputError, match="is prepared already"):
        tilewright.evaluate(plan, made, task_options={"shift": 1})
    with pytest.raises(InputError, match="so is task_options"):
        tilewright.evaluate(plan, metric=max, inputs=torch.randn(4, 8), labels=[1] * 4, task_options={"shift": 1})


def test_options_of_the_command_line():
    given = ["stride=512", "column=text", "names=[a, b]", "cased=true", "none=null", "odd=a=b"]
    wanted = {"stride": 512, "column": "text", "names": ["a", "b"], "cased": True, "none": None, "odd": "a=b"}
    assert parse_task_options(given) == wanted
    with pytest.raises(InputError, match="--task-option 'stride' is not KEY=VALUE, for example stride=512"):
        parse_task_options(["stride"])
    for value in ("[1", "[" * 5000):
        with pytest.raises(InputError, match="the value is not a number, a word or null"):
            parse_task_options([f"stride={value}"])
    with pytest.raises(InputError, match="--task-option 'stride=2': 'stride' is given twice"):
        parse_task_options(["stride=1", "stride=2"])
