"""Find, read and validate target files: the library's by name, a user's own by path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from tilewright.targets.composing import compose
from tilewright.targets.documents import CALLED, Located, find_document
from tilewright.targets.errors import InputError, first_problem, nearest
from tilewright.targets.library import library_files
from tilewright.targets.migration import migrated
from tilewright.targets.shown import shown
from tilewright.targets.spec import AnalogTarget, AttentionUnit, Chip, Cost, DigitalTarget, Programming, Recipe, Target
from tilewright.targets.spec.description import Document

KINDS: dict[str, type[Document]] = {
    "analog": AnalogTarget,
    "digital": DigitalTarget,
    "attention": AttentionUnit,
    "programming": Programming,
    "chip": Chip,
    "cost": Cost,
    "recipe": Recipe,
}
Changes = Mapping[str, Any] | None
DEFAULT_CHIP = "pcm-512"
"""Name of the target where none is named."""


def target_names(*kinds: str) -> list[str]:
    """Names in the library, of these kinds (analog, digital, attention, programming, chip, cost, recipe).

    Of all kinds if none is given.
    """
    return list(library_files(*kinds))


def load_document(name: str | Path, *kinds: str, changes: Changes = None) -> Document:
    """The library's document of that name, or the one in that YAML file, of one of these kinds (any if none is given).

    changes: dotted keys and their new values, such as {"tile.adc.bits": 8}. Raises ``InputError`` if there is none or
    it is wrong.
    """
    located = find_document(name, kinds or tuple(KINDS))
    return parse_document(located, kinds, changes)


def parse_document(located: Located, kinds: tuple[str, ...] = (), changes: Changes = None) -> Document:
    """Resolve and validate what was read. Raises ``InputError`` that names the file and the key."""
    content = compose(located, KINDS, changes or {})
    kind = content.get("kind")
    allowed = kinds or tuple(KINDS)
    if not isinstance(kind, str) or kind not in allowed:
        known = nearest(kind, allowed) if isinstance(kind, str) else f"allowed: {', '.join(allowed)}"
        raise InputError(f"{located.what}: kind is {shown(kind)}; {known}")
    try:
        return KINDS[kind].model_validate(content)
    except ValidationError as error:
        raise InputError(f"{located.what}: {first_problem(error, KINDS[kind], content)}") from error


def parse_target(content: Any, where: str) -> AnalogTarget | DigitalTarget:
    """Validate a target that is at hand as data. Raises ``InputError`` that names ``where`` and the key."""
    return cast(
        "AnalogTarget | DigitalTarget",
        parse_document(Located(migrated(content), f"target {where}", None), ("analog", "digital")),
    )


def load_target(target: str | Path | Target, changes: Changes = None) -> AnalogTarget | DigitalTarget:
    """The target of that name, the one in that YAML file, or itself: analog or digital, where a layer can run.

    changes: dotted keys and their new values, such as {"tile.adc.bits": 8}. Raises ``InputError`` if there is none or
    it is wrong.
    """
    if isinstance(target, Target):
        return cast("AnalogTarget | DigitalTarget", _changed(target, changes))
    return cast("AnalogTarget | DigitalTarget", load_document(target, "analog", "digital", changes=changes))


def load_programming(method: str | Path | Programming) -> Programming:
    """The programming method of that name, or the one in that YAML file. Raises ``InputError`` if there is none."""
    return method if isinstance(method, Programming) else cast("Programming", load_document(method, "programming"))


def load_attention_unit(unit: str | Path | AttentionUnit) -> AttentionUnit:
    """The attention unit of that name, or the one in that YAML file. Raises ``InputError`` if there is none."""
    return unit if isinstance(unit, AttentionUnit) else cast("AttentionUnit", load_document(unit, "attention"))


def load_cost(cost: str | Path | Cost) -> Cost:
    """The cost preset of that name, or the one in that YAML file. Raises ``InputError`` if there is none."""
    return cost if isinstance(cost, Cost) else cast("Cost", load_document(cost, "cost"))


def load_recipe(recipe: str | Path | Recipe, changes: Changes = None) -> Recipe:
    """The training recipe of that name, or the one in that YAML file, or itself.

    changes: dotted keys and their new values, such as {"weight_noise.strength": 2}. Raises ``InputError`` if there is
    none or it is wrong.
    """
    if isinstance(recipe, Recipe):
        return cast("Recipe", _changed(recipe, changes))
    return cast("Recipe", load_document(recipe, "recipe", changes=changes))


def _changed(document: Document, changes: Changes) -> Document:
    """A document that was loaded, with changes."""
    if not changes:
        return document
    what = f"{CALLED.get(getattr(document, 'kind', ''), 'target')} {document.name}"
    return parse_document(Located(document.model_dump(mode="json"), what, None), changes=changes)


def load_chip(chip: str | Path | Target | Chip, changes: Changes = None) -> Chip:
    """The chip of that name, or the one in that YAML file; of a target alone the chip that its own file describes.

    changes: dotted keys and their new values, such as {"tile.adc.bits": 8}. Raises ``InputError`` if there is none or
    it is wrong.
    """
    if isinstance(chip, Chip):
        return cast("Chip", _changed(chip, changes))
    if isinstance(chip, Target):
        return chip_of(load_target(chip, changes))
    loaded = load_document(chip, "chip", "analog", "digital", changes=changes)
    return loaded if isinstance(loaded, Chip) else chip_of(cast("AnalogTarget | DigitalTarget", loaded))


def chip_of(target: AnalogTarget | DigitalTarget) -> Chip:
    """The chip of a target that is named alone."""
    own = target.chip
    content: dict[str, Any] = {"schema_version": 2, "kind": "chip", "name": target.name, "summary": target.summary}
    content |= {"tiles": [], "digital": [], "attention": own.attention, "cost": own.cost}
    if isinstance(target, AnalogTarget):
        mesh = {"mesh_rows": target.chip.mesh_rows, "mesh_columns": target.chip.mesh_columns}
        content["tiles"] = [{"target": target, **mesh}]
    else:
        content["digital"] = [{"unit": target, "count": target.chip.count}]
    return Chip.model_validate(content)
