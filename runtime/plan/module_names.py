"""Names of a model's modules as another file has them: the same, or with a first word more or less."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tilewright.targets.errors import InputError, nearest
from tilewright.targets.shown import shown

Way = tuple[str, str]
"""First word that a name has less in the plan, and one that it has more; one of both is empty."""


def matched_names(modules: Sequence[str], known: Collection[str], of: str) -> dict[str, str]:
    """The known name of each module: its own, or one that has a first word more or less, the same for all of them.

    A model inside another has such a word before its names: "encoder.layer.0" of BertModel is "bert.encoder.layer.0" in
    a classifier. of: what the modules are of, for sentences. Raises ``InputError`` for a module that belongs to
    nothing, which is never passed by.
    """
    found = {module: module for module in modules if module in known}
    others = [module for module in modules if module not in known]
    if others:
        ways = [way for way in _ways(others[0], known) if all(_renamed(module, way) in known for module in others)]
        if len(ways) > 1:
            raise InputError(f"{of}: {shown(others[0])} may be more than one layer of the plan")
        if not ways:
            lost = next((module for module in others if not _ways(module, known)), others[0])
            raise InputError(f"{of} is of {shown(lost)}, which is no layer of the plan; {nearest(lost, known)}")
        found |= {module: _renamed(module, ways[0]) for module in others}
    if len(set(found.values())) < len(found):
        raise InputError(f"{of} has two modules for one layer of the plan")
    return found


def _ways(module: str, known: Collection[str]) -> list[Way]:
    """Ways to make a known name of a module's by its first word."""
    first, _, rest = module.partition(".")
    less = [(f"{first}.", "")] if rest in known else []
    more = sorted({name[: -len(module)] for name in known if name.endswith(f".{module}")})
    return less + [("", word) for word in more if word.count(".") == 1]


def _renamed(module: str, way: Way) -> str:
    less, more = way
    return more + module.removeprefix(less) if module.startswith(less) else ""
