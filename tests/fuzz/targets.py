"""Target files of every kind, changed as trees and as text, through loading, the command, compiling and measuring."""

import random
from functools import cache

import torch
import yaml
from torch import nn

import tilewright
from tests.fuzz import hostile, trees
from tests.fuzz.child import caught_output
from tests.fuzz.program import called, refused
from tilewright.compiler.cli import targets_command
from tilewright.runtime.measuring.characterize import characterize
from tilewright.targets.documents import find_document
from tilewright.targets.errors import InputError
from tilewright.targets.loading import KINDS, load_chip, load_document, target_names
from tilewright.targets.spec import AnalogTarget, Chip, DigitalTarget

SNIPPETS = (
    "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "!!binary aGVsbG8=", "!!set {a, b}",
    "&x [*x]", "!!timestamp 2001-01-01", "2001-01-01", "0x7fffffffffffffff", "0o17", "1_000", "190:20:30", "~", "yes",
    ".nan", "-.inf", "1e400", "9" * 400, "[" * 3000, "{a: " * 900, "? [1, 2] : 3", "<<: {a: 1}", "*nothing",
    "|\n  text", '"\\x1b[31mred"', '"\\ud800"', "'" + "x" * 5000 + "'", "- - - -", "%TAG ! tag:x,2000:", "---", "...",
    "\t", "\x00", "\ufeff",
)  # fmt: skip
WORDS = ["&a0 [x,x,x,x,x,x,x,x,x]", *(f"&a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))]
BOMB = f"[{', '.join(WORDS)}]"
"""A list of 9^9 words."""
OWN = "extends: pcm-512\nname: own\nsummary: own\n"
CORPUS = (
    OWN.replace("summary: own", f"summary: {BOMB}"), f"{OWN}nothing: {BOMB}\n", f"{OWN}tile: {BOMB}\n",
    f"{OWN}tile:\n  rows: {{value: {BOMB}}}\n", f"extends: {BOMB}\n", f"kind: {BOMB}\n", f"{BOMB}: 1\n",
    "extends: mutant.yaml\n", "extends: neighbour.yaml\n", "&x [*x]\n", "a: &x {b: *x}\n",
    f"{OWN}tile: &x {{rows: *x}}\n",
    f"{OWN}chip: {{attention: {{unit: mutant.yaml}}}}\n", f"{OWN}? {{a: 1}}\n: 2\n", f"{OWN}tile: " + "[" * 5000,
    f"{OWN}tile: " + "[" * 400 + "]" * 400, f"{OWN}tile: {{rows: {{value: {'9' * 5000}}}}}\n", "", "---\n---\n", "1\n",
    f"{OWN}tile: {{rows: {{value: {'9' * 400}}}}}\n", f"{OWN}\"\\x1b[2J\": 1\n", f"{OWN}programming: \"\\x1b[2J\"\n",
    f"{OWN}tile: {{adc: {{bits: {{value: 1.0e+400}}}}}}\n", f"{OWN}tile: {{rows: {{value: .nan}}}}\n",
    OWN + "".join(f"k{n}: 1\n" for n in range(10**4)), f"{OWN}kind: \"\\ud800\"\n",
)  # fmt: skip
"""Files that were made by hand to do harm: the first seeds."""
COMPILED, MEASURED = 0.1, 0.25
"""Parts of the mutants that load as a target which a network is compiled for, and whose products are measured."""


class Small(nn.Module):
    """Two layers."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 12), nn.Linear(12, 4)

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


def warm():
    for kind in KINDS:
        for name in target_names(kind):
            _base(kind, name)
    with caught_output():
        _compile(load_chip("pcm-512"))
        _measure(load_chip("pcm-512").tiles[0].target)


def run(seed, folder):
    choose = random.Random(f"targets {seed}")
    kind = choose.choice(list(KINDS))
    name = choose.choice(target_names(kind))
    text, content = _base(kind, name)
    path = folder / "mutant.yaml"
    path.write_text(
        CORPUS[seed] if seed < len(CORPUS) else mutant(text, content, choose), encoding="utf-8", errors="surrogatepass"
    )
    (folder / "neighbour.yaml").write_text("extends: mutant.yaml\nname: neighbour\n")
    shown = called(targets_command.targets_command, str(path))
    if not shown:
        return "refused"
    called(targets_command.targets_command, str(path), as_json=True, printed="json")
    try:
        loaded = load_document(path)
        if isinstance(loaded, Chip | AnalogTarget | DigitalTarget) and choose.random() < COMPILED:
            _compile(load_chip(path))
            return "compiled"
        if isinstance(loaded, AnalogTarget) and choose.random() < MEASURED:
            _measure(loaded)
            return "measured"
    except InputError as error:
        refused(error)
        return "loaded"
    return "loaded"


def mutant(text, content, choose):
    """The text of a target file with changes."""
    kind = choose.randrange(20)
    if kind == 0:
        return trees.damage(text.encode(), choose).decode(errors="surrogateescape").encode(errors="replace").decode()
    if kind < 4:
        lines = text.splitlines(keepends=True)
        place = choose.randrange(len(lines))
        line, snippet = lines[place], choose.choice((*SNIPPETS, BOMB))
        key = line.partition(":")[0]
        replaced = (f"{key}: {snippet}\n", f"{line}{snippet}\n", line * 2, "", f" {line}", f"{key}: &anchor {line}")
        lines[place] = choose.choice(replaced)
        return "".join(lines)
    tree = yaml.safe_load(yaml.safe_dump(content))
    if kind < 7:
        _reference(tree, choose)
    if kind > 12:
        _numbers(tree, choose)
        return yaml.dump(tree, sort_keys=False)
    for _ in range(choose.choice((1, 1, 1, 2, 4))):
        trees.edit(tree, choose)
    return yaml.dump(tree, sort_keys=False, allow_unicode=choose.random() < 0.5, width=10**6)


def _reference(tree, choose):
    """Name another document, which may be of another kind, this one, or nothing."""
    names = [*target_names(), "mutant.yaml", "neighbour.yaml", "../mutant.yaml", "/etc/passwd", hostile.text(choose)]
    key = choose.choice(("extends", "programming", "attention", "cost", "target", "unit"))
    tree[key] = choose.choice(names)


def _numbers(tree, choose):
    """A few values near what they were: what most often loads."""
    found = [part for part in parts(tree) if isinstance(part.get("value"), int | float)]
    for part in choose.sample(found, min(len(found), choose.choice((1, 2, 8)))):
        value = part["value"]
        part["value"] = choose.choice((value * 2, value + 1, value / 2, int(value // 2), 0, 1, 3, 1e-12, 1e9))


def parts(tree):
    """All dicts in a tree."""
    if isinstance(tree, dict):
        yield tree
    if isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from parts(item)


def _compile(chip):
    torch.manual_seed(0)
    plan = tilewright.compile(Small().eval(), chip, example_inputs=torch.randn(3, 8))
    tilewright.Session(plan, seed=0).advance_to(3600.0).run({"x": torch.ones(2, 8)})
    tilewright.summarise(plan)


def _measure(target):
    characterize([target], times=["1s", "1h"], rows=16, columns=16, vectors=4, repeats=1)


@cache
def _base(kind, name):
    """(text as it is on disk but for comments, content with what it extends filled in)."""
    located = find_document(name, (kind,))
    text = yaml.safe_dump(located.content, sort_keys=False, width=10**6)
    return text, load_document(name, kind).model_dump(mode="json") if "extends" in located.content else located.content
