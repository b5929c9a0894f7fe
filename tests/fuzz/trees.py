"""Random edits of a document of dicts, lists, texts and numbers: every place in it can be reached."""

import copy

from tests.fuzz import hostile


def edit(tree, choose):
    """Edit a tree at random, in place."""
    container, key = place(tree, choose)
    if container is None:
        return
    EDITS[choose.choices(range(len(EDITS)), WEIGHTS)[0]](tree, container, key, choose)


def place(tree, choose):
    """A container and a key in it, at any depth: a walk that goes down by chance; (None, None) of an empty tree."""
    container, key, here = None, None, tree
    while isinstance(here, dict | list) and here and (container is None or choose.random() < 0.88):
        container = here
        key = choose.choice(list(here)) if isinstance(here, dict) else choose.randrange(len(here))
        here = container[key]
    return container, key


def texts(tree):
    """All texts that are values in a tree."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from texts(item)


def with_text(tree, old, new):
    """A copy in which ``new`` stands wherever ``old`` stood: values, keys, and parts of longer texts."""
    if isinstance(tree, str):
        return tree.replace(old, new) if old else tree
    if isinstance(tree, dict):
        return {with_text(key, old, new): with_text(value, old, new) for key, value in tree.items()}
    if isinstance(tree, list):
        return [with_text(item, old, new) for item in tree]
    return tree


def _of_its_type(tree, container, key, choose):
    """Another value of the same type: what gets furthest."""
    value = container[key]
    if isinstance(value, bool):
        container[key] = not value
    elif isinstance(value, int | float):
        if choose.random() < 0.4 and abs(value) < 1e9:
            near = (value + 1, value - 1, -value, value * 2, value // 2, value / 3)
            container[key] = choose.choice(near)
        else:
            container[key] = hostile.number(choose)
    elif isinstance(value, str):
        known = list(texts(tree))
        container[key] = choose.choice(known) if choose.random() < 0.4 else hostile.text(choose)
    elif isinstance(value, list) and value:
        choose.choice((value.reverse, value.clear, value.pop, lambda: value.extend(copy.deepcopy(value))))()
    else:
        container[key] = hostile.anything(choose)


def _of_any_type(_tree, container, key, choose):
    container[key] = hostile.anything(choose)


def _delete(_tree, container, key, _choose):
    del container[key]


def _duplicate(_tree, container, key, choose):
    value = copy.deepcopy(container[key])
    if isinstance(container, list):
        container.insert(choose.randrange(len(container) + 1), value)
    else:
        container[choose.choice((f"{key}2", hostile.text(choose), choose.choice(list(container))))] = value


def _swap(_tree, container, key, choose):
    other = choose.choice(list(container) if isinstance(container, dict) else range(len(container)))
    container[key], container[other] = container[other], container[key]


def _graft(tree, container, key, choose):
    """Put what stands elsewhere in the tree."""
    other, there = place(tree, choose)
    container[key] = copy.deepcopy(other[there])


def _rename(_tree, container, key, choose):
    if isinstance(container, dict):
        container[choose.choice((hostile.text(choose), str(key) + "_"))] = container.pop(key)


def _everywhere(tree, container, key, choose):
    """A text changed wherever it stands, so that what refers to it still does."""
    value = container[key] if isinstance(container[key], str) else key
    if isinstance(value, str) and isinstance(tree, dict):
        changed = with_text(tree, value, hostile.text(choose))
        tree.clear()
        tree.update(changed)


EDITS = (_of_its_type, _of_any_type, _delete, _duplicate, _swap, _graft, _rename, _everywhere)
WEIGHTS = (45, 12, 8, 8, 6, 6, 4, 11)


def damage(content, choose):
    """Bytes that were cut off, overwritten, doubled or left out."""
    data = bytearray(content)
    kind = choose.randrange(4)
    if kind == 0 or not data:
        return bytes(data[: choose.randrange(len(data) + 1)])
    if kind == 1:
        for _ in range(choose.randrange(1, 20)):
            data[choose.randrange(len(data))] = choose.randrange(256)
        return bytes(data)
    start, length = choose.randrange(len(data)), choose.choice((1, 2, 8, 100))
    if kind == 2:
        return bytes(data[:start] + data[start : start + length] + data[start:])
    return bytes(data[:start] + data[start + length :])
