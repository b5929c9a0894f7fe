"""The command line and Python take the same options, with the same defaults."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import tilewright
from tilewright.compiler.cli import options, report_command
from tilewright.compiler.cli.app import app
from tilewright.compiler.report.formats import WRITERS
from tilewright.compiler.sensitivity import CRITERIA
from tilewright.runtime.measuring.loggers import LOGGERS
from tilewright.runtime.tasks.finding import TASKS
from tilewright.targets.times import parse_times

CALLS: dict[str, list[Callable[..., Any]]] = {
    "compile": [tilewright.compile, tilewright.load_chip, tilewright.Plan.save],
    "report": [tilewright.write_report],
    "explain": [tilewright.explain],
    "diff": [tilewright.difference],
    "operations": [tilewright.count_operations],
    "sensitivity": [tilewright.measure_sensitivity, tilewright.plot_sensitivity],
    "assign": [tilewright.assign, tilewright.Assigned.save],
    "cost": [tilewright.estimate_cost],
    "run": [tilewright.run, tilewright.Run.save],
    "generate": [
        tilewright.Session.generate,
        tilewright.AnalogModelForCausalLM.from_plan,
        tilewright.Session.__init__,
    ],
    "evaluate": [tilewright.evaluate],
    "sweep": [tilewright.sweep, tilewright.evaluate, tilewright.plot_study],
    "ablate": [tilewright.ablate, tilewright.evaluate, tilewright.plot_study],
    "pareto": [tilewright.pareto, tilewright.evaluate, tilewright.plot_study],
    "study": [tilewright.run_study, tilewright.plot_study],
    "results": [tilewright.read_results, tilewright.Results.where, tilewright.Results.write],
    "train": [tilewright.train, tilewright.load_chip],
    "export": [tilewright.export_layers],
    "characterize": [tilewright.characterize, tilewright.load_target, tilewright.save_characterization],
    "targets": [tilewright.load_document, tilewright.read_rpu_config],
    "doctor": [tilewright.doctor],
    "adapter add": [tilewright.Plan.with_adapter, tilewright.Plan.save],
    "adapter list": [tilewright.load],
    "adapter remove": [tilewright.Plan.without_adapter, tilewright.Plan.save],
}
"""Command -> the functions that do its work."""
OTHERWISE = {
    "dask": "executor", "files": "paths", "where": "wanted", "merged": "path",
    "force": "overwrite", "kind": "kinds", "recipe_changes": "changes", "rpu_config": "path", "new": "folder",
    "tokens": "max_new_tokens",
}  # fmt: skip
"""Options with another name in Python."""
OF_TRANSFORMERS = {("generate", option) for option in ("temperature", "top_k", "beams")}
"""Options that transformers' own ``generate`` takes."""
PRINTING = {
    "as_json", "format", "plot", "page", ("report", "weights"), ("cost", "layers"),
    ("targets", "kind"), ("targets", "name"), ("targets", "file"), ("targets", "force"),
    *((f"adapter {what}", "plan") for what in ("add", "list", "remove")),
}  # fmt: skip
"""Options that say what is printed, or where, and the plan that a method is of."""
OPTIONAL_HERE = {
    ("results", "where"), ("results", "merged"), ("characterize", "folder"), ("report", "file"),
    ("targets", "rpu_config"), ("adapter add", "name"),
    ("adapter add", "new"), ("adapter remove", "new"),
}  # fmt: skip
"""Places to write to or read from that a command can do without."""
IN_PYTHON_ALONE = {("evaluate", name) for name in ("metric", "inputs", "labels", "readout")}
"""Parameters whose values a command line cannot hold."""
LEFT_OUT: dict[tuple[str, str], Any] = {
    ("compile", "attention_bits"): "target",
    ("targets", "ignore"): (),
    ("generate", "until"): (),
}
"""Meaning of a repeated option that is not given, where it is not None."""


def test_words_that_a_shell_completes_are_those_that_are_taken():
    assert set(options.CRITERIA) == set(CRITERIA)
    assert set(options.TASKS) == set(TASKS)
    assert set(options.LOGGERS) == set(LOGGERS)
    assert set(report_command.FORMATS) == {"terminal", *WRITERS}


def commands():
    found = {command.name: command.callback for command in app.registered_commands}
    for group in app.registered_groups:
        assert group.typer_instance is not None
        found |= {f"{group.name} {one.name}": one.callback for one in group.typer_instance.registered_commands}
    return found


def wanted(name, option):
    """The parameter of the functions behind a command; None if there is none."""
    option = "study" if (name, option) == ("study", "file") else option
    for function in CALLS[name]:
        parameters = inspect.signature(function).parameters
        if OTHERWISE.get(option, option) in parameters:
            return parameters[OTHERWISE.get(option, option)]
    return None


def test_every_command_is_compared():
    assert set(commands()) == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_defaults_are_the_same(name):
    for option in inspect.signature(commands()[name]).parameters.values():
        if option.name in PRINTING or (name, option.name) in PRINTING | OF_TRANSFORMERS:
            continue
        parameter = wanted(name, option.name)
        assert parameter is not None, f"{name} {option.name}: no function takes it"
        here, there = option.default, parameter.default
        if (name, option.name) in OPTIONAL_HERE:
            assert here is None
            assert there is inspect.Parameter.empty
        elif option.name == "times":
            assert tuple(parse_times(here)) == there
        else:
            assert LEFT_OUT.get((name, option.name), here) == there, f"{name} {option.name}: {here!r}, {there!r}"


@pytest.mark.parametrize("name", CALLS)
def test_no_option_of_the_function_is_missing(name):
    """But for what only Python can give: objects, examples, and functions that are told of the progress."""
    known = {
        OTHERWISE.get(option, option) if (name, option) != ("study", "file") else "study"
        for option in inspect.signature(commands()[name]).parameters
    }
    known |= {"folder"} if name == "adapter list" else set()  # the plan's, which is loaded
    only_in_python = {"example_inputs", "dynamic_shapes", "sensitivity", "self", "found"}
    for parameter in inspect.signature(CALLS[name][0]).parameters:
        is_here = parameter in only_in_python or (name, parameter) in IN_PYTHON_ALONE
        if not parameter.startswith("on_") and not is_here and parameter != "how":  # as of evaluate
            assert parameter in known, f"{name} lacks {parameter}"
