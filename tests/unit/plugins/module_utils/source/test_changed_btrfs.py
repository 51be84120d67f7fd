# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source.changed import btrfs
from ansible_collections.agnostic.recovery.plugins.module_utils.source.consistency import Area
from ansible_collections.agnostic.recovery.plugins.module_utils.source.mapread import MapUnknown
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.watch import Moment, TransactionWatch
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.btrfs_builder import METADATA_AT, MIB, NODE, RAID1, Btrfs
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import reader

K = 1 << 10
OLD, YOUNG, IN_PLACE = (0, 8 * K, 9), (64 * K, 4 * K, 10), (128 * K, 8 * K, 3)
SUMMED = ((0, 8 * K), (64 * K, 4 * K))
NOW = Moment(0.0, 0.0)


def made(generation=10, data=(OLD, YOUNG, IN_PLACE), **more):
    return Btrfs(generation=generation, data=data, **dict(dict(summed=SUMMED), **more))


def on_disk(*extents):
    return Ranges((4 * MIB + first, 4 * MIB + first + length) for first, length, _generation in extents)


class Disk:
    """A device that becomes another one."""

    def __init__(self, system):
        self.system = system

    def read_at(self, offset, length):
        return reader(self.system.images[0])(offset, length)


def watched(*systems):
    """What a watch says at the looks at these file systems, one after the other, each with a mark after it."""
    disk, said = Disk(None), []
    watch = TransactionWatch(Area("sda", MIB, Btrfs.SIZE), disk.read_at)
    for system in systems:
        disk.system = system
        said.append(watch.look().shift(-MIB))
        watch.mark(NOW)
    return said, watch.note


def test_old_data_with_checksums_are_unchanged():
    said, note = watched(made(9), made(10))
    assert said == [Ranges(), on_disk(OLD)] and note == ""


def test_tree_blocks_are_as_old_as_their_transaction():
    said, _note = watched(made(9), made(9))
    assert said[1] == on_disk(OLD).union(Ranges([(MIB, MIB + NODE), (2 * MIB, 2 * MIB + 5 * NODE)]))


def test_what_got_its_checksums_after_the_mark_is_not_proven():
    assert watched(made(9, summed=((0, 4 * K),)), made(10))[0][1] == on_disk((0, 4 * K, 9))


def test_another_chunk_proves_nothing_of_its_data():
    now = made(10)
    before = btrfs.see(reader(made(9).images[0]), Btrfs.SIZE)
    some = before._replace(chunks=frozenset(chunk for chunk in before.chunks if chunk.offset <= METADATA_AT))
    all_data = Ranges.whole(1 << 40)
    assert btrfs.unchanged(reader(now.images[0]), Btrfs.SIZE, before, all_data).clip(4 * MIB, 5 * MIB) == on_disk(OLD, IN_PLACE)
    assert btrfs.unchanged(reader(now.images[0]), Btrfs.SIZE, some, all_data).clip(4 * MIB, 5 * MIB) == Ranges()


def test_a_damaged_tree_proves_nothing_and_says_so():
    broken = made(10)
    broken.images[0][2 * MIB + 500] ^= 1
    said, note = watched(made(9), broken)
    assert said[1] == Ranges() and "damaged" in note


def test_one_of_several_devices_proves_nothing():
    several = Btrfs(devices=2, profile=RAID1, summed=SUMMED)
    said, note = watched(several, several)
    assert said[1] == Ranges() and "1 of its 2 devices" in note


def test_trees_that_are_overwritten_while_they_are_read_are_read_again():
    old, new = made(9), made(10)
    left = [2]

    def read_at(offset, length):
        """The superblock is the old one, twice; its trees are gone."""
        if offset == 65536 and left[0]:
            left[0] -= 1
            return reader(old.images[0])(offset, length)
        return reader(new.images[0])(offset, length)

    assert btrfs.see(read_at, Btrfs.SIZE).generation == 10
    left[0] = 1 << 20
    with pytest.raises(MapUnknown):
        btrfs.see(read_at, Btrfs.SIZE)


def test_a_log_tree_does_not_widen_the_map_of_a_running_file_system():
    system = made(10)
    with_log = made(10, log_root=METADATA_AT + 9 * NODE)
    assert btrfs.used_while_running(reader(with_log.images[0]), Btrfs.SIZE) == btrfs.used_while_running(reader(system.images[0]), Btrfs.SIZE)
    assert on_disk(OLD, YOUNG, IN_PLACE).minus(btrfs.used_while_running(reader(system.images[0]), Btrfs.SIZE)) == Ranges()
