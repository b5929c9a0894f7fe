"""Variants of a library target for tests."""

import copy
from dataclasses import replace

from tilewright.targets.loading import load_programming, load_target, parse_target
from tilewright.targets.quantity import is_number
from tilewright.targets.spec import Programming


def variant(base="pcm-512", **changes):
    """``tile__adc__bits=8`` sets the value at tile.adc.bits; numbers keep their unit and source."""
    content = copy.deepcopy(load_target(base).model_dump(mode="json"))
    return parse_target(changed(content, changes), "variant")


def changed(content, changes):
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = content
        for key in parents:
            node = node[key]
        if isinstance(node.get(last), dict) and "value" in node[last] and not isinstance(value, dict):
            node[last]["value"] = value
        else:
            node[last] = value
    return content


QUIET = {"tile__output_noise": 0, "tile__short_term_read_noise": 0}
EXACT_DEVICE = {"device": {"statistics": "ideal"}}


def method_variant(base="direct", **changes):
    """A programming method of the library with changes, as ``variant`` makes them."""
    content = copy.deepcopy(load_programming(base).model_dump(mode="json"))
    return Programming.model_validate(changed(content, changes))


def leaves(node, path=()):
    """Paths, as tuples of keys and places, and values; a number is one leaf."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list) and not is_number(value):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def with_option(plan, name, *, input_ranges=None, **changes):
    """The plan with fields of the option in force of one layer changed; input_ranges: one a use."""

    def changed(layer):
        option = layer.option.model_copy(update=changes)
        if input_ranges is not None:
            uses = [
                use.model_copy(update={"input_range": one}) for use, one in zip(option.uses, input_ranges, strict=True)
            ]
            option = option.model_copy(update={"uses": uses})
        options = [option if one.target == option.target else one for one in layer.options]
        return layer.model_copy(update={"options": options})

    return with_layers(plan, [changed(layer) if layer.name == name else layer for layer in plan.document.layers])


def with_layers(plan, layers):
    """The plan with these layers."""
    return replace(plan, document=plan.document.model_copy(update={"layers": layers}))
