"""Numbers and texts that careless readers fall over."""

import math

NUMBERS = (
    0, -1, 1, 2, 3, 7, 64, 255, 2**16, 2**20, 2**31 - 1, 2**31, 2**32, 2**40, 2**53 + 1, 2**62, 2**63 - 1, 2**63,
    -(2**31), -(2**63), -(2**63) - 1, 2**64, 10**30, 10**400, -(10**400), 0.5, -0.0, 1.5, -3.25, 1e-30, 5e-324, 1e30,
    1e308, -1e308, math.nan, math.inf, -math.inf,
)  # fmt: skip
SIZES = (0, 1, 2, 3, 4, 5, 8, 16, -1, -2)
"""Numbers that often fit where a size or a dimension is asked for."""
ESCAPES = "\x1b]0;PWNED\x07\x1b[2J\x1b[31mred\x1b[0m\x1b]52;c;ZWNobyBwd25lZA==\x07"
SCRIPT = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>"
MARKUP = "[link=https://evil.example]click[/link] [/] [bold red]"
UNESCAPED = ("<script>alert(", "<img src=x", "<svg onload")
"""Parts of ``SCRIPT`` that a page must not hold."""
TEXTS = (
    "", " ", "a", "NaN", "null", "0", "-1", "1e999", "true", "nothing", "x" * 300, "x" * 5000, ESCAPES, "\x9b31mred",
    "\r\nx: y", "a\nb", "\x00", "\x7f\x08\x08", "tab\tbed", SCRIPT, MARKUP, "[/]", "=cmd|'/c calc'!A1", "\t=1+1",
    "\r=1+1", "@SUM(1)", "+1", "|a|b|", "`code`", "![x](http://e.example/x.png)", "{{7*7}}", "{0.__class__}", "%s%n",
    "%08589934592d", "\\", "'\"", "../../etc/passwd", "/etc/passwd", "C:\\x", ".", "..", "class", "self", "torch",
    "lambda", "__class__", "__init__", "forward", "os", "load", "float32", "int64", "complex64", "bits8", "qint8",
    "on_tiles.a", "aten.relu.default", "é", "重み", "\u202eevil", "\u2028", "\ud800", "𝔘" * 3, "0" * 64, "f" * 64,
)  # fmt: skip


def number(choose):
    """A hostile number, or a small one."""
    return choose.choice(NUMBERS) if choose.random() < 0.7 else choose.randrange(-3, 40)


def text(choose):
    """A hostile text."""
    return choose.choice(TEXTS)


def anything(choose):
    """A value of any type that JSON has, nested at times."""
    kind = choose.randrange(9)
    if kind < 3:
        return number(choose)
    if kind < 5:
        return text(choose)
    if kind == 8:
        return nested(choose.choice((3, 60, 200)))
    return choose.choice(
        (None, True, False, [], {}, [[]], {"": None}, [None], [0, 0], ["x"], {"node": "x"}, {"value": 1})
    )


def nested(depth, value=1):
    """A list in a list in a list."""
    for _ in range(depth):
        value = [value]
    return value
