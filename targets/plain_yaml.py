"""YAML of a stranger as plain data: bounded before it is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from tilewright.targets.shown import shown

LONGEST_NUMBER = 64  # letters
DEEPEST = 32  # parts inside one another
MOST_PARTS = 100_000
"""Largest number of parts of a document; an alias counts as all that it stands for."""
LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
"""Whole numbers that YAML takes for octal ones, which nobody means."""
NUMBERS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}


def read_plain(text: str) -> Any:
    """Data of a YAML document, no part of it shared with another. Raises ``yaml.YAMLError`` for what is none."""
    try:
        return _apart(yaml.load(text, _PlainData))  # noqa: S506 (a safe loader that adds checks)
    except yaml.YAMLError:
        raise
    except _FAULTS as error:  # of tags that hold something else: !!bool x, !!int "", 2020-13-45
        raise yaml.YAMLError(f"a value that is not of its type: {str(error)[:200]}") from error


_FAULTS = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)


class _PlainData(yaml.SafeLoader):
    """Loader of plain YAML: a key that is there twice is an error, where YAML would take the last one.

    Refused are aliases by which a page of text is more data than memory holds, numbers of a thousand digits, and
    hundreds of parts inside one another.
    """

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node. Raises ``ComposerError`` for one that is too deep, before what is in it is read."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.composer.ComposerError(None, None, f"deeper than {DEEPEST} parts", self.get_mark())
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        """The document's nodes. Raises ``ComposerError`` for more of them than a target has."""
        node = super().get_single_node()
        if node is not None:
            _check(node)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node. Raises ``ConstructorError`` for a key that is there twice."""
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = f"the key {shown(key.value)} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _check(root: yaml.Node) -> None:
    """Raise ``ComposerError`` for parts that no target's data have. Every node is looked at once."""
    sizes: dict[int, tuple[int, int]] = {}
    """Parts of each node with all in it, and their depth."""
    open_: set[int] = set()

    def measure(node: yaml.Node, depth: int) -> tuple[int, int]:
        if id(node) in open_:
            raise yaml.composer.ComposerError(None, None, "an alias of what it stands in", node.start_mark)
        if id(node) not in sizes:
            open_.add(id(node))
            inner = [measure(part, depth + 1) for part in _parts(node)]
            open_.remove(id(node))
            sizes[id(node)] = 1 + sum(size for size, _ in inner), 1 + max((deep for _, deep in inner), default=0)
        size, deep = sizes[id(node)]
        if size > MOST_PARTS or depth + deep - 1 > DEEPEST:
            problem = f"its aliases stand for more than {MOST_PARTS} parts, or {DEEPEST} inside one another"
            raise yaml.composer.ComposerError(None, None, problem, node.start_mark)
        return size, deep

    measure(root, 1)


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from (key, value)
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif node.tag in NUMBERS and len(node.value) > LONGEST_NUMBER:
        problem = f"a number of more than {LONGEST_NUMBER} letters"
        raise yaml.composer.ComposerError(None, None, problem, node.start_mark)
    elif node.tag in NUMBERS and LEADING_ZERO.fullmatch(node.value):
        problem = f"the number {node.value} begins with 0, by which YAML means an octal one"
        raise yaml.composer.ComposerError(None, None, problem, node.start_mark)


def _apart(part: Any) -> Any:
    """A copy in which no two places share their content: a change of one must not change the other."""
    if isinstance(part, dict):
        return {key: _apart(value) for key, value in part.items()}
    return [_apart(item) for item in part] if isinstance(part, list) else part
