"""Variants of a library target for tests."""

import copy

from tilewright.targets import load_target, parse_target


def variant(base="pcm-512", **changes):
    """``tile__adc__bits=8`` sets the value at tile.adc.bits; numbers keep their unit and source."""
    content = copy.deepcopy(load_target(base).model_dump(mode="json"))
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = content
        for key in parents:
            node = node[key]
        if isinstance(node[last], dict) and "value" in node[last] and not isinstance(value, dict):
            node[last]["value"] = value
        else:
            node[last] = value
    return parse_target(content, "variant")


QUIET = {"tile__output_noise": 0, "tile__short_term_read_noise": 0}
EXACT_DEVICE = {"device": {"statistics": "ideal"}}
