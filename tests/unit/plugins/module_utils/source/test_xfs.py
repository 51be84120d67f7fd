# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source import xfs
from ansible_collections.agnostic.recovery.plugins.module_utils.source.mapread import MapUnknown
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import Xfs, reader

SIZE = Xfs.BLOCK * Xfs.GROUP * 2
FREE = Ranges((start * 4096, end * 4096) for start, end in ((50, 60), (200, 1000), (1324, 1325), (1424, 2024)))


def used(disk, frozen=False, size=SIZE):
    return xfs.used(reader(disk.image), size, frozen)


@pytest.mark.parametrize("version", (4, 5))
@pytest.mark.parametrize("levels", (1, 2))
def test_clean(version, levels):
    assert used(Xfs(version=version, levels=levels)) == (FREE.invert(SIZE), "xfs free-space trees, clean log")


def test_space_behind_the_file_system_is_used():
    assert used(Xfs(), size=SIZE + 512)[0] == FREE.invert(SIZE + 512)


@pytest.mark.parametrize("cycle, position", ((1, 0), (5, 100), (5, 0), (9, 510)))
def test_log_states(cycle, position):
    assert "clean log" in used(Xfs(cycle=cycle, position=position))[1]
    dirty = Xfs(cycle=cycle, position=position, dirty=True)
    with pytest.raises(MapUnknown, match="log is not clean"):
        used(dirty)
    assert used(dirty, frozen=True) == (FREE.invert(SIZE), "xfs free-space trees, frozen")


def damage_log(disk, block, offset, value):
    position = (Xfs.GROUP + Xfs.LOG) * Xfs.BLOCK + block * 512 + offset
    disk.image[position:position + len(value)] = value


@pytest.mark.parametrize("block, offset, value", [
    (102, 0, b"\0\0\0\5"),       # something written after the unmount record
    (300, 0, b"\0\0\0\5"),       # a torn log
    (50, 0, b"\0\0\0\4"),        # a hole before the head
    (50, 0, b"\0\0\0\6"),        # a block of the future
    (100, 304, b"\xff"),         # of another file system
    (100, 40, b"\0\0\0\2"),      # more than one operation
    (100, 20, b"\0\0\0\1"),      # a record from elsewhere
    (100, 12, b"\0\0\4\0"),      # longer than what follows
])
def test_logs_that_are_not_plainly_clean(block, offset, value):
    disk = Xfs(cycle=5, position=100)
    damage_log(disk, block, offset, value)
    with pytest.raises(MapUnknown, match="log is not clean"):
        used(disk)


@pytest.mark.parametrize("offset, code, value, reason", [
    (0, ">I", 1, "no xfs superblock"),
    (100, ">H", 0xB086, "version 6"),
    (126, ">B", 1, "never made completely"),
    (16, ">Q", 5, "realtime"),
    (48, ">Q", 0, "log is on another device"),
    (212, ">I", 0x100, "unknown xfs features"),
    (216, ">I", 0x10, "asks for a repair"),
    (216, ">I", 0x200, "unknown xfs features"),
    (8, ">Q", 3000, "make no sense"),
    (84, ">I", 32, "make no sense"),
    (144, ">Q", 77, "superblock counts 77 free blocks"),
])
def test_superblocks_that_cannot_be_trusted(offset, code, value, reason):
    disk = Xfs()
    disk.change_superblock(offset, code, value)
    with pytest.raises(MapUnknown, match=reason):
        used(disk)


@pytest.mark.parametrize("free, reason", [
    ((((50, 10), (55, 10)), ((300, 1),)), "damaged"),
    ((((50, 10), (20, 10)), ((300, 1),)), "damaged"),
    ((((50, 0),), ((300, 1),)), "damaged"),
    ((((1000, 100),), ((300, 1),)), "damaged"),
])
def test_impossible_free_space(free, reason):
    with pytest.raises(MapUnknown, match=reason):
        used(Xfs(free=free), frozen=True)


def test_checksums_and_counts():
    disk = Xfs()
    disk.image[512 + 50] ^= 1
    with pytest.raises(MapUnknown, match="header of allocation group 0 has a wrong checksum"):
        used(disk)
    disk = Xfs()
    disk.image[4096 + 70] ^= 1
    with pytest.raises(MapUnknown, match="damaged at block 1"):
        used(disk)
    disk = Xfs(version=4)
    disk.image[4096 + 16 + 7] += 1
    with pytest.raises(MapUnknown, match="counts 810 free blocks, its tree has 811"):
        used(disk)


def test_a_tree_that_bites_its_tail():
    disk = Xfs(version=4, levels=2)
    room = (4096 - 16) // 12
    disk.image[4096 + 16 + 8 * room + 3] = 11
    with pytest.raises(MapUnknown, match="damaged"):
        used(disk)


@pytest.mark.parametrize("version", (4, 5))
def test_flipped_bits_never_raise_anything_else(version):
    chance = random.Random(5)
    disk = Xfs(version=version, levels=2)
    original = bytes(disk.image)
    places = [0, 512, 4096, 10 * 4096, 1024 * 4096 + 512, 1025 * 4096, 1124 * 4096]
    for _round in range(400):
        for _flip in range(chance.randrange(1, 6)):
            disk.image[chance.choice(places) + int(256 * chance.random() ** 2)] = chance.randrange(256)
        try:
            used(disk, bool(_round & 1))
        except MapUnknown:
            pass
        disk.image[:] = original
    for length in (0, 100, 511, 512, 700, 4096, 5000, 1024 * 4096, 1124 * 4096 + 7):
        with pytest.raises(MapUnknown):
            xfs.used(reader(original[:length]), SIZE, True)
