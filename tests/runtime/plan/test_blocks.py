"""Splits of layers into blocks, and places of tiles on a mesh."""

from itertools import pairwise
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.runtime.plan.blocks import ranges, split_evenly, tile_number, tile_position
from tilewright.targets.loading import load_chip


@settings(deadline=None)
@given(size=st.integers(1, 5000), limit=st.integers(1, 600))
def test_splits_are_fewest_equal_and_complete(size, limit):
    sizes = split_evenly(size, limit)
    assert sum(sizes) == size
    assert len(sizes) == ceil(size / limit)
    assert max(sizes) <= limit
    assert max(sizes) - min(sizes) <= 1
    assert [stop - start for start, stop in ranges(sizes)] == sizes
    assert ranges(sizes)[0][0] == 0
    assert ranges(sizes)[-1][1] == size


def test_neighbours_follow_one_another():
    chip = load_chip("pcm-512").tiles[0]
    places = [tile_position(number, chip) for number in range(2 * chip.count)]
    assert len({(p.chip, p.row, p.column) for p in places}) == len(places)
    assert [tile_number(place, chip) for place in places] == list(range(2 * chip.count))
    for one, two in pairwise(places):
        if one.chip == two.chip:
            assert abs(one.row - two.row) + abs(one.column - two.column) == 1
