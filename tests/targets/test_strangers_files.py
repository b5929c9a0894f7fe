"""A stranger's target is plain data, and what is said of it is short and harmless."""

import resource

import pytest

from tests.narrowing import analog, present
from tilewright.targets.errors import InputError
from tilewright.targets.loading import load_document
from tilewright.targets.shown import shown, visible

ALIASES = ["&a0 [x,x,x,x,x,x,x,x,x]", *(f"&a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 8))]
HEAD = "extends: pcm-512\nname: mine\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEAD}summary: [{', '.join(ALIASES)}]\n", "its aliases stand for more than 100000 parts"),
        (f"{HEAD}summary: &a [*a]\n", "an alias of what it stands in"),
        (f"{HEAD}summary: {'[' * 200}{']' * 200}\n", "deeper than 32"),
        (f"{HEAD}summary: {'[' * 100_000}\n", "deeper than 32"),
        (f"{HEAD}schema_version: {'9' * 4000}\n", "a number of more than 64 letters"),
        (f"{HEAD}schema_version: 0x{'f' * 9000}\n", "a number of more than 64 letters"),
        (f"{HEAD}schema_version: {'1:' * 20_000}1\n", "a number of more than 64 letters"),
        (f"{HEAD}summary: {'x' * 100_000}\n", "summary is 'xxx"),
        (f"{HEAD}tile: {{rows: {{value: {'9' * 60}, unit: row, source: me}}}}\n", "tile.rows is"),
        (f"{HEAD}tile: {{rows: {{value: 1, 2: 3, source: me}}}}\n", "unknown key 2"),
        (f"{HEAD}summary: {{a: {[['y'] * 99] * 99}}}\n", "summary is {'a': [['y', 'y'"),
        (f'{HEAD}"\\e]0;title\\a{"k" * 500}": 1\n', r"\x1b]0;title\x07kkk"),
        ('extends: ["\\e[2J"]\nname: mine\n', r"extends is ['\x1b[2J']"),
    ],
)
def test_targets_are_plain_data(tmp_path, text, words):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as error:
        load_document(path)
    message = str(error.value)
    assert words in message
    assert len(message) < 6000
    assert message.isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_aliases_stand_for_copies(tmp_path):
    path = tmp_path / "mine.yaml"
    bits = "{value: 6, unit: bit, source: me}"
    path.write_text(f"{HEAD}summary: mine\ntile: {{dac: {{bits: &bits {bits}}}, adc: {{bits: *bits}}}}\n")
    assert present(analog(path).tile.adc).bits == 6
    changed = analog(path, {"tile.dac.bits": 5}).tile
    assert (present(changed.dac).bits, present(changed.adc).bits) == (5, 6)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a" * 200, "'" + "a" * 37 + "..." + "a" * 38 + "'"),
        (10**400, "a number of 1329 bits"),
        ([[[[[[1]]]]]], "[[[[[...]]]]]"),
        ({"\x1b": None}, r"{'\x1b': None}"),
        (True, "True"),
    ],
)
def test_values_are_shown_short(value, text):
    assert shown(value) == text


def test_what_steers_a_terminal_is_seen():
    assert visible("\x1b[2J\x9b1m\u202eabc\u2066\u200b\ud800") == r"\x1b[2J\x9b1m\u202eabc\u2066\u200b\ud800"
    assert visible("one\r\n\ttwo\u2028three") == "one two three"
    assert visible(r"grüße 1\x1b µJ 语言") == r"grüße 1\x1b µJ 语言"
    assert visible(visible("\x1b")) == r"\x1b"
    assert str(InputError("a\x1b[1m\nb" + "c" * 9000)).startswith(r"a\x1b[1m bccc")
    assert len(str(InputError("c" * 9000))) < 4100
