"""Sentences are for people: outside reports no code reads one, and nothing decides by one.

Whatever a later step needs of a decision is a field of its own. A sentence may be handed on: as the ``reason`` or
``choice`` of another record, and nowhere else. Which variables hold decisions and figures is told by their names, as
far as it can be told without running anything.
"""

import ast
from pathlib import Path

import torch

import tilewright
from tests.test_frozen_plans import kept
from tilewright.runtime.plan.plan import Plan

ROOT = Path(__file__).parents[1]
FROZEN = ROOT / "tests" / "frozen" / "v6" / "attention"
ROOMS = ("compiler", "runtime", "targets")
MAY_READ = ("compiler/report", "runtime/plan/from_version_6.py")
"""Reports show sentences; older plans said in sentences what are fields today."""
ALWAYS = {"reason"}
OF = {
    "decision": "choice", "alternative": "choice", "other": "choice", "rejected": "choice", "routed": "choice",
    "figure": "name",
}  # fmt: skip
"""By the name of a variable, its attribute that is words for people."""
KEYS = {"reason", "choice"}


def is_sentence(node):
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        of_source = isinstance(node.value, ast.Attribute) and node.value.attr == "source"
        of_name = isinstance(node.value, ast.Name) and OF.get(node.value.id) == node.attr
        return node.attr in ALWAYS or of_source or of_name
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return isinstance(node.slice, ast.Constant) and node.slice.value in KEYS
    return False


def handed_on(value):
    """The nodes of an expression that are what it gives, not what it asks."""
    if isinstance(value, ast.IfExp):
        return [*handed_on(value.body), *handed_on(value.orelse)]
    return [value]


def read_sentences(tree):
    """Lines that read a sentence other than to hand it on."""
    allowed: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in KEYS:
            allowed.update(map(id, handed_on(node.value)))
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            named = (value for key, value in pairs if isinstance(key, ast.Constant) and key.value in KEYS)
            allowed.update(id(part) for value in named for part in handed_on(value))
    return [getattr(node, "lineno", 0) for node in ast.walk(tree) if is_sentence(node) and id(node) not in allowed]


def test_no_code_reads_a_sentence():
    found = []
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(MAY_READ):
            found += [f"{name}:{line}" for line in read_sentences(ast.parse(path.read_text()))]
    assert not found, f"sentences are for people; make a field of what is needed of them: {', '.join(found)}"


def test_the_walk_sees_readers_and_lets_writers_be():
    readers = ("if layer.reason.startswith('it'): pass", "x = decision['choice']", "figure.name == 'loss'",
               "Record(reason='a' if other.choice == 'b' else 'c')", "f'{weight.reason}'",
               "figure.source.startswith('our')")  # fmt: skip
    writers = ("layer.reason = 'so'", "Decision(reason=move.reason, choice='a')", "layer.name == figure.value",
               "copy(update={'reason': old.reason if old else 'none'})", "trial.choice")  # fmt: skip
    assert all(read_sentences(ast.parse(text)) for text in readers)
    assert not any(read_sentences(ast.parse(text)) for text in writers)


def without_sentences(value, key=None):
    """A plan's content with another word in the place of each sentence and each figure's name."""
    if isinstance(value, dict):
        is_figure = set(value) == {"name", "value", "unit"}
        return {k: "word" if k == "name" and is_figure else without_sentences(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [without_sentences(item) for item in value]
    return "word" if key in KEYS and isinstance(value, str) else value


def test_a_plan_without_its_sentences_does_the_same():
    frozen = tilewright.load(FROZEN)
    plan = Plan(frozen.document, frozen.tensors)  # without its folder, in which measurements are kept
    content = without_sentences(plan.document.model_dump(mode="json"))
    bare = Plan(type(plan.document).model_validate(content), plan.tensors)
    assert plan.document != bare.document
    assert all(layer.reason == "word" for layer in bare.document.layers)
    assert tilewright.estimate_cost(plan).to_json() == tilewright.estimate_cost(bare).to_json()
    assert len(tilewright.summarise(plan).warnings) == len(tilewright.summarise(bare).warnings)
    inputs, _ = kept(FROZEN)
    made = []
    for one in (plan, bare):
        found = tilewright.measure_sensitivity(one, ["weight-error"], inputs=inputs, repeats=1)
        assigned = tilewright.assign(one, found, budgets={"tiles": 14}).plan
        outputs = tilewright.Session(assigned, seed=1)(inputs)
        made.append((without_sentences(assigned.document.model_dump(mode="json")), outputs))
    assert made[0][0] == made[1][0]
    assert all(torch.equal(made[0][1][name], value) for name, value in made[1][1].items())
