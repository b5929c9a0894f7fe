"""Flags and seeds of public functions: what is no flag and no whole number is refused, not taken for one."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

import tilewright
from tilewright import Assigned, InputError, Metric, Plan, Run, Session

X = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def plan():
    torch.manual_seed(0)
    return tilewright.compile(nn.Linear(8, 4).eval(), example_inputs=X)


@pytest.fixture
def call(plan, tmp_path):
    """Call a public function with options beside arguments that it takes."""
    target, ran = tmp_path / "new", tilewright.run(plan, {"input": X}, ideal=True)
    found = tilewright.characterize("digital-int8", times=["1s"], rows=8, columns=8, vectors=2, repeats=1)
    sensitivity = tilewright.Sensitivity(1.0, 1, 0, 1, "none", {}, [])
    assigned = Assigned(plan, {}, {}, {}, plan, sensitivity)
    study = tilewright.Study("nothing", [], [])
    arguments = {
        tilewright.compile: (nn.Linear(8, 4).eval(),),
        tilewright.assign: (plan,),
        tilewright.evaluate: (plan, "stsb", "nowhere"),
        tilewright.run: (plan, {"input": X}),
        tilewright.write_report: (plan, target.with_suffix(".md")),
        tilewright.save_characterization: (found, target),
        Session: (plan,),
        Plan.save: (plan, target),
        Run.save: (ran, target),
        Assigned.save: (assigned, target),
        Metric: ("share, %", max),
        Plan.with_adapter: (plan, "name", "nowhere"),
        tilewright.export_layers: (plan, target),
        tilewright.plot_study: (study, target.with_suffix(".svg")),
        tilewright.write_study_page: (study, target.with_suffix(".html")),
        tilewright.plot_sensitivity: (sensitivity, target.with_suffix(".svg")),
        tilewright.train: ("nowhere", "glue/sst2", "nowhere", target),
    }
    yield lambda function, **options: function(*arguments[function], **options)
    assert list(tmp_path.iterdir()) == [], "something was written though a flag was wrong"


def functions():
    """Public functions, classes as what makes them, and public methods of classes."""
    for name in tilewright.__all__:
        public = getattr(tilewright, name)
        if inspect.isfunction(public) or public in (Session, Metric):
            yield public
        if inspect.isclass(public):
            yield from (one for key, one in vars(public).items() if inspect.isfunction(one) and key[0] != "_")


FLAGS = [
    (function, name)
    for function in functions()
    for name, parameter in inspect.signature(function).parameters.items()
    if parameter.annotation in (bool, "bool") and parameter.default is not inspect.Parameter.empty
]


def test_the_flags_of_all_functions_are_found():
    assert {name for _, name in FLAGS} >= {"ideal", "check", "validate", "overwrite", "larger_is_better"}
    assert len(FLAGS) >= 18


@pytest.mark.parametrize("given", ["no", 1, None, np.True_], ids=repr)
@pytest.mark.parametrize(("function", "name"), FLAGS)
def test_a_flag_is_true_or_false(call, function, name, given):
    with pytest.raises(InputError, match=rf"^{name} is .*; allowed: true, false$"):
        call(function, **{name: given})


@pytest.mark.parametrize("given", [0.5, "0", None, True, np.int64(0), 2**64], ids=repr)
@pytest.mark.parametrize("function", [Session, tilewright.run, tilewright.evaluate, tilewright.assign])
def test_a_seed_is_a_whole_number(call, function, given):
    with pytest.raises(InputError, match=r"^seed is .*, allowed is "):
        call(function, seed=given)


@pytest.mark.parametrize("given", [-1, 0.5, "0", True, np.int64(0)], ids=repr)
def test_a_repeat_is_a_whole_number_from_zero_on(call, given):
    with pytest.raises(InputError, match=r"^repeat is .*, allowed is .*0 or more"):
        call(Session, repeat=given)
