"""The public face: one list of names, in which is all that its functions take, return and raise."""

import ast
import builtins
import dataclasses
import functools
import inspect
import itertools
import re
import subprocess
import sys
import textwrap
import typing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import tilewright
from tests.narrowing import present

STUB = Path(tilewright.__file__).with_suffix(".pyi")
EMPTY_OPENINGS = ("What ", "Whether ", "Of ", "The same", "As ", "In ", "How ", "If ", "Where ")
NAMES = sorted(tilewright.__all__)


class Names(dict[str, Any]):
    """Names of a module, in which those that are there for type checkers alone stand for any object."""

    def __missing__(self, name):
        return getattr(builtins, name, object)


def functions_of(thing):
    """(name, function) of a function, or of the public methods and properties of a class that are its own."""
    if not isinstance(thing, type):
        return [(thing.__name__, thing)]
    found = []
    for base in reversed([base for base in thing.__mro__ if base.__module__.startswith("tilewright.")]):
        for name, given in vars(base).items():
            member = given.fget if isinstance(given, property) else given
            member = member.func if isinstance(member, functools.cached_property) else member
            member = getattr(member, "__func__", member)
            public = not name.startswith("_") or name in ("__init__", "__call__")
            if public and inspect.isfunction(member) and member.__module__.startswith("tilewright."):
                found.append((f"{thing.__name__}.{name}", member))
    return found


def hints(thing):
    return typing.get_type_hints(thing, localns=Names(vars(sys.modules[thing.__module__]))).values()


def classes_in(annotation):
    if isinstance(annotation, type) and annotation.__module__.startswith("tilewright."):
        yield annotation
    for part in typing.get_args(annotation):
        yield from classes_in(part) if not isinstance(part, list) else (c for one in part for c in classes_in(one))


def test_the_list_is_the_stub():
    listed = [alias.name for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ImportFrom)
              for alias in node.names]  # fmt: skip
    assert sorted(listed) == NAMES
    assert len(set(listed)) == len(listed)
    assert set(NAMES) <= set(dir(tilewright))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_taken_and_returned_can_be_named(name):
    """Parameters, results, properties and fields: each class of tilewright among them is public itself."""
    thing = getattr(tilewright, name)
    annotated = [function for _, function in functions_of(thing)]
    annotated += [thing] if dataclasses.is_dataclass(thing) else []
    for function in annotated:
        for annotation in hints(function):
            for found in classes_in(annotation):
                assert getattr(tilewright, found.__name__, None) is found, f"{function.__qualname__}: {found.__name__}"


@pytest.mark.parametrize("name", NAMES)
def test_help_reads_well(name):
    """A docstring that stands alone, exceptions that can be named, no private name in a signature."""
    thing = getattr(tilewright, name)
    for where, function in [(name, thing), *functions_of(thing)]:
        text = inspect.getdoc(function) or ""
        assert text, where
        assert not text.startswith(EMPTY_OPENINGS), f"{where}: {text[:60]!r}"
        assert inspect.isclass(function) or not text.startswith(f"{function.__name__}("), where
        for error in re.findall(r"``(\w+(?:Error|Exception))``", text):
            assert error in NAMES or hasattr(builtins, error), f"{where} raises {error}"
        if inspect.isfunction(function):
            parameters = str(inspect.signature(function))
            assert not re.search(r"(?<![\w.])_[A-Za-z]", parameters), f"{where}{parameters}"


def documented_fields(thing):
    """(name, True if something says what it is) of the fields that a class defines itself."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    assert isinstance(tree, ast.ClassDef)
    for statement, after in itertools.pairwise([*tree.body, None]):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            described = "description=" in ast.unparse(statement)
            below = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            listed = re.search(rf"\b{name}\b[^.]*:", inspect.getdoc(thing) or "")
            if "ClassVar" not in ast.unparse(statement.annotation):
                yield name, described or below or bool(listed)


@pytest.mark.parametrize("name", [name for name in NAMES if isinstance(getattr(tilewright, name), type)])
def test_every_field_is_documented(name):
    assert [field for field, documented in documented_fields(getattr(tilewright, name)) if not documented] == []


def takes_a_plan(thing):
    """True for a function, and the class that users call as one, whose first argument is a plan or several."""
    if not inspect.isfunction(thing) and thing is not tilewright.Session:
        return False
    first = next(iter(inspect.signature(thing).parameters.values()), None)
    return first is not None and str(first.annotation).split(" ")[0] == "Plan"


TAKING_PLANS = [name for name in NAMES if takes_a_plan(getattr(tilewright, name))]


def test_functions_of_plans_are_found():
    assert {"Session", "assign", "evaluate", "run", "summarise", "write_report"} <= set(TAKING_PLANS)


@pytest.mark.parametrize("given", ["my plan", Path("my plan")])
@pytest.mark.parametrize("name", TAKING_PLANS)
def test_the_path_of_a_plan_is_no_plan(name, given, tmp_path):
    function = getattr(tilewright, name)
    parameters = inspect.signature(function).parameters.values()
    needed = [one for one in parameters if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]
    words = f"plan must be a Plan; got {type(given).__name__} 'my plan': load it with tilewright.load('my plan')"
    with pytest.raises(tilewright.InputError, match=f"^{re.escape(words)}$"):
        function(given, *[str(tmp_path / "other")] * (len(needed) - 1))
    with pytest.raises(tilewright.InputError, match=r"^plan must be a Plan; got NoneType None$"):
        function(None, *[str(tmp_path / "other")] * (len(needed) - 1))


def test_errors_are_exceptions():
    assert issubclass(tilewright.InputError, ValueError)
    assert issubclass(tilewright.PlanError, ValueError)
    assert issubclass(tilewright.PassError, RuntimeError)


def test_importing_is_light():
    """Nothing large is loaded until a name is used, and targets need no torch."""
    script = (
        "import sys, tilewright\n"
        "large = {'torch', 'numpy', 'scipy', 'pydantic', 'yaml', 'transformers', 'rich', 'typer'}\n"
        "assert not large & set(sys.modules), large & set(sys.modules)\n"
        "dir(tilewright), tilewright.__version__\n"
        "assert not large & set(sys.modules), large & set(sys.modules)\n"
        "chip = tilewright.load_chip('pcm-512-mixed')\n"
        "tilewright.load_target('pcm-512', {'tile.adc.bits': 8}), tilewright.target_names('cost')\n"
        "assert isinstance(chip, tilewright.Chip) and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.fixture(scope="module")
def results():
    """Everything that public functions return, for one small plan."""
    torch.manual_seed(0)
    x = torch.randn(8, 20)
    network = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 4)).eval()
    plan = tilewright.compile(network, "pcm-512-mixed", example_inputs=x)
    samples: dict[str, Any] = {"inputs": {"input": x}, "repeats": 2}
    sensitivity = tilewright.measure_sensitivity(plan, ["gradient"], **samples)
    assigned = tilewright.assign(plan, sensitivity, minimise="tiles", **samples)
    point = tilewright.TimePoint("1s", 1.0, [80.0, 82.0])
    return [
        plan,
        tilewright.Session(plan).advance_to("1d"),
        tilewright.run(plan, {"input": x}, repeats=2),
        tilewright.Evaluation("stsb", "Spearman", 0.0, True, "", 10, 0, 2, True, 90.0, [point]),
        tilewright.characterize("pcm-512", rows=32, columns=32, vectors=32, times=["1s", "1d"]),
        tilewright.count_operations(plan),
        tilewright.estimate_cost(plan),
        sensitivity,
        assigned,
        tilewright.summarise(plan),
        tilewright.difference(plan, assigned.plan),
        tilewright.explain(plan, "0"),
        *(tilewright.load_document(name) for name in tilewright.target_names()),
    ]


def test_every_result_is_one_short_line(results):
    for result in results:
        line = repr(result)
        assert line.startswith(f"{type(result).__name__}("), line
        assert line.endswith(")"), line
        assert "\n" not in line, line
        assert len(line) <= 200, line
        assert "object at 0x" not in line


def test_assigning_measures_and_validates(results):
    (assigned,) = (result for result in results if isinstance(result, tilewright.Assigned))
    measured = present(assigned.record.measured)
    assert (measured.chips, measured.seed) == (2, 1)
    assert assigned.trials == []
    assert set(assigned.to_json()) == {"assignment", "targets", "sensitivity", "trials"}
