import pytest

from tilewright.targets.errors import InputError
from tilewright.targets.times import parse_time, parse_times


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("20min", 1200), ("1h", 3600), ("1d", 86400), ("1w", 604800), ("1mo", 2592000), ("1y", 31536000),
     ("0", 0), (2.5, 2.5), ("1e3", 1000), (".5 h", 1800), (7, 7)],
)  # fmt: skip
def test_times(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["-1s", -0.1, "1 fortnight", "", "h", "nan", float("nan"), float("inf"), "1h2"])
def test_what_is_not_a_time_is_refused(text):
    with pytest.raises(InputError):
        parse_time(text)


def test_lists_keep_their_order_and_labels():
    assert parse_times("1h, 1s") == {"1h": 3600.0, "1s": 1.0}
    with pytest.raises(InputError):
        parse_times(" , ")
