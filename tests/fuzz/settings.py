"""RPUConfigs, changed as bytes of a pickle and as fields of it, through the command that makes them target files."""

import pickle
import random
import sys
import types
from pathlib import Path

from tests.fuzz import hostile, trees
from tests.fuzz.program import called
from tilewright.compiler.cli import targets_command
from tilewright.targets.importing.inert_pickle import Made, Name, read_pickle
from tilewright.targets.importing.rpu_config import PACKAGES
from tilewright.targets.loading import load_target

PICKLES = sorted((Path(__file__).parents[1] / "targets" / "importing" / "pickles").glob("*.pickle"))


def warm():
    load_target("pcm-512")


def run(seed, folder):
    choose = random.Random(f"settings {seed}")
    content = choose.choice(PICKLES).read_bytes()
    if choose.random() < 0.5:
        content = trees.damage(content, choose)
    else:
        found = read_pickle(content, PACKAGES, "the file")
        for _ in range(choose.choice((1, 1, 2, 5))):
            _change(found, choose)
        content = _pickled(found, choose.choice((2, 4)))
    (folder / "rpu_config").write_bytes(content)
    made = called(targets_command.targets_command, rpu_config=folder / "rpu_config", file=folder / "made.yaml")
    if not made:
        return "refused"
    load_target(folder / "made.yaml")
    return "ran"


def _change(made, choose):
    """Another value, name or number of fields, somewhere in an object or what is in it."""
    while (inner := [value for value in made.fields.values() if isinstance(value, Made) and value.fields]) and (
        choose.random() < 0.7
    ):
        made = choose.choice(inner)
    name = choose.choice(list(made.fields))
    match choose.randrange(4):
        case 0:
            made.fields[name] = choose.choice((hostile.number, hostile.text, hostile.anything))(choose)
        case 1:
            del made.fields[name]
        case 2:
            made.fields[hostile.text(choose)] = made.fields.pop(name)
        case 3:
            made.fields[name] = choose.choice(list(made.fields.values()))
    if not made.fields:
        made.fields["a"] = 1


def _pickled(found, protocol):
    """The pickle of records, made of classes of their names that are there meanwhile."""
    modules: dict[str, types.ModuleType] = {}
    for record in _names(found):
        module = modules.setdefault(record.module, types.ModuleType(record.module))
        if not hasattr(module, record.name):
            kind = type(record.name, (), {"__module__": record.module, "__reduce__": _reduce})
            setattr(module, record.name, kind)
    words = [name.split(".") for name in modules]
    parents = {".".join(name[:count]) for name in words for count in range(1, len(name))}
    known = {name: types.ModuleType(name) for name in parents} | modules
    before = {name: sys.modules.get(name) for name in known}
    sys.modules.update(known)
    try:
        return pickle.dumps(_objects(found, modules), protocol)
    finally:
        for name, earlier in before.items():
            if earlier is None:
                del sys.modules[name]
            else:
                sys.modules[name] = earlier


def _reduce(self):
    return type(self), self.values, self.fields


def _names(value):
    if isinstance(value, Name):
        yield value
    elif isinstance(value, Made):
        yield value.name
        for inner in value.fields.values():
            yield from _names(inner)


def _objects(value, modules):
    if isinstance(value, Name):
        return getattr(modules[value.module], value.name)
    if isinstance(value, Made):
        made = getattr(modules[value.name.module], value.name.name)()
        made.values = value.values
        made.fields = {name: _objects(inner, modules) for name, inner in value.fields.items()}
        return made
    return value
