# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges, RangesBuilder

SIZE = 60


def points(ranges):
    return {byte for start, end in ranges for byte in range(start, end)}


def assert_normal(ranges):
    pairs = list(ranges)
    assert all(start < end for start, end in pairs)
    assert all(before[1] < after[0] for before, after in zip(pairs, pairs[1:]))
    assert ranges.total == len(points(ranges))


def check_all(one, other, low, high, block, distance):
    """Every operation against plain sets of bytes."""
    a, b = Ranges(one), Ranges(other)
    mine, theirs = points(one), points(other)
    for ranges in (a, b):
        assert_normal(ranges)
    assert points(a) == mine
    results = [
        (a.union(b), mine | theirs),
        (a.intersect(b), mine & theirs),
        (a.invert(SIZE), set(range(SIZE)) - mine),
        (a.shift(distance), {byte + distance for byte in mine}),
        (a.clip(low, high), mine & set(range(low, high))),
        (Ranges(a.overlapping(low, high)), mine & set(range(low, high))),
        (a.align_out(block), {byte // block * block + index for byte in mine for index in range(block)}),
    ]
    for result, expected in results:
        assert_normal(result)
        assert points(result) == expected
    assert a.union(b) == b.union(a)
    assert a.invert(SIZE).invert(SIZE) == a.clip(0, SIZE)
    assert (a == b) == (mine == theirs)


def test_random_sets_against_plain_sets():
    chance = random.Random(4711)

    def pairs():
        return [(start, start + chance.randrange(12)) for start in (chance.randrange(SIZE) for _count in range(chance.randrange(8)))]

    for _round in range(500):
        low = chance.randrange(SIZE)
        check_all(pairs(), pairs(), low, low + chance.randrange(SIZE), chance.randrange(1, 9), chance.randrange(20))


def test_properties():
    hypothesis = pytest.importorskip("hypothesis")
    st = hypothesis.strategies
    pairs = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, 12)).map(lambda item: (item[0], item[0] + item[1])), max_size=10)

    @hypothesis.settings(deadline=None)
    @hypothesis.given(pairs, pairs, st.integers(0, SIZE), st.integers(0, SIZE), st.integers(1, 16), st.integers(0, 1 << 40))
    def check(one, other, low, length, block, distance):
        check_all(one, other, low, low + length, block, distance % 100)

    check()


def test_large_numbers_and_misuse():
    top = 1 << 62
    assert list(Ranges([(top, top + 1)]).shift(-top)) == [(0, 1)]
    with pytest.raises(ValueError):
        Ranges([(5, 6)]).shift(-6)
    builder = RangesBuilder()
    builder.add(10, 20)
    with pytest.raises(ValueError):
        builder.add(9, 30)
    assert not Ranges() and Ranges.whole(0) == Ranges() and Ranges.whole(9).total == 9
    assert "9 bytes" in repr(Ranges.whole(9))
    assert hash(Ranges([(1, 2), (2, 3)])) == hash(Ranges([(1, 3)]))


def test_a_builder_can_go_on_after_its_ranges_were_taken():
    builder = RangesBuilder()
    builder.add(0, 5)
    before = builder.ranges()
    builder.add(5, 9)
    assert (list(before), list(builder.ranges())) == ([(0, 5)], [(0, 9)])
