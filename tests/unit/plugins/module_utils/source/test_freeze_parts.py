# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watchdog of a freeze, and readers put together; the freeze itself is tested on real file systems."""

import pytest

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import SourceError
from ansible_collections.agnostic.recovery.plugins.module_utils.source.freeze import FITHAW, _watch
from ansible_collections.agnostic.recovery.plugins.module_utils.source.overlay import Layer, Overlay, held
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges


class World:
    """A watchdog's view: a clock, orders that arrive at given times, and what it thaws."""

    def __init__(self, orders):
        self.time = 0.0
        self.orders = list(orders)                  # (time, b"A", b"D" or b"": the parent is gone)
        self.thawed = []
        self.reports = []

    def clock(self):
        return self.time

    def wait(self, reads, _writes, _errors, timeout):
        if self.orders and (timeout is None or self.orders[0][0] <= self.time + timeout):
            self.time = max(self.time, self.orders[0][0])
            return reads, [], []
        assert timeout is not None, "it waits for ever"
        self.time += timeout
        return [], [], []

    def read(self, _fd, _count):
        return self.orders.pop(0)[1]

    def write(self, _fd, data):
        self.reports.append((self.time, data))

    def ioctl(self, fd, number, _argument):
        assert number == FITHAW
        self.thawed.append((self.time, fd))
        raise OSError(22, "Invalid argument")

    def run(self, limit=10):
        _watch(0, 1, [7, 8], limit, self.clock, self.wait, self.ioctl, self.read, self.write)
        return self


def test_in_time_nothing_is_thawed():
    world = World([(1, b"A"), (10, b"D"), (50, b"A"), (59, b"D"), (200, b"")]).run()
    assert world.thawed == [] and world.reports == []


def test_at_the_deadline_all_are_thawed_in_reverse_until_told_to_stop():
    world = World([(1, b"A"), (11.55, b"D"), (20, b"A"), (21, b"D"), (22, b"")]).run()
    assert world.thawed[:2] == [(11, 8), (11, 7)]
    assert {round(time, 1) for time, _fd in world.thawed} == {11.0, 11.1, 11.2, 11.3, 11.4, 11.5}
    assert world.reports == [(11, b"X")]


def test_without_a_parent_all_are_thawed_at_once():
    assert World([(1, b"A"), (2, b"")]).run().thawed == [(2, 8), (2, 7)]
    assert World([(1, b"A"), (2, b"D"), (3, b"")]).run().thawed == []


def numbers(start):
    return lambda offset, length: bytes((start + offset + position) % 251 for position in range(length))


def test_overlay():
    overlay = Overlay([Layer(30, 40, numbers(1)), Layer(10, 30, numbers(0))])
    assert overlay.read_at(5, 40) == bytes(5) + numbers(0)(10, 20) + numbers(1)(30, 10) + bytes(5)
    assert overlay.read_at(12, 3) == numbers(0)(12, 3)
    assert overlay.holds(Ranges([(10, 40)])) and not overlay.holds(Ranges([(9, 12)])) and not overlay.holds(Ranges([(39, 41)]))


def test_overlapping_readers_are_refused():
    with pytest.raises(SourceError, match="Two readers claim byte 19"):
        Overlay([Layer(10, 20, numbers(0)), Layer(19, 30, numbers(0))])


def test_held_bytes_are_those_of_now():
    content = bytearray(range(100))
    layers = held(Ranges([(10, 20), (50, 51)]), lambda offset, length: bytes(content[offset:offset + length]))
    content[:] = bytes(100)
    overlay = Overlay(layers)
    assert overlay.read_at(8, 14) == bytes(2) + bytes(range(10, 20)) + bytes(2) and overlay.read_at(50, 1) == bytes([50])
