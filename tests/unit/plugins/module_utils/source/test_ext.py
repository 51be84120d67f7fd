# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random
import struct

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.source import ext
from ansible_collections.agnostic.recovery.plugins.module_utils.source.mapread import MapUnknown
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import Ext, Log, reader

RECOVER = 0x246
SIZE = Ext.BLOCK * Ext.BLOCKS


def used(disk, frozen=False, size=SIZE):
    return ext.used(reader(disk.image), size, frozen)


def test_clean():
    disk = Ext()
    assert used(disk) == (disk.expected((5000, 5010), (9000, 9001)), "ext block bitmaps")


def test_space_behind_the_file_system_is_used():
    disk = Ext()
    ranges, _method = used(disk, size=SIZE + 5000)
    assert list(ranges)[-1] == (SIZE, SIZE + 5000)


def test_group_without_a_bitmap_on_disk():
    disk = Ext(used=((5000, 5010),), uninit=True)
    disk.put(4, b"\xff" * 1024)     # whatever lies there
    assert used(disk)[0] == disk.expected((5000, 5010))


def test_a_damaged_bitmap_makes_its_group_used():
    disk = Ext()
    disk.image[4 * 1024 + 500] ^= 4
    ranges, method = used(disk)
    assert ranges == disk.expected((5000, 5010), (8193, 16384))
    assert "1 of 2 groups read whole" in method


def test_a_bitmap_without_checksum_is_held_against_the_free_count():
    disk = Ext(read_only=0x1)
    disk.image[4 * 1024 + 100] = 0xFF
    assert used(disk)[0] == disk.expected((5000, 5010), (8193, 16384))


@pytest.mark.parametrize("offset, code, value, reason", [
    (0x38, "<H", 0xEF54, "no ext superblock"),
    (0x3A, "<H", 0x0, "not unmounted cleanly"),
    (0x3A, "<H", 0x3, "recorded errors"),
    (0x60, "<I", 0x1242, "unknown ext features"),
    (0x64, "<I", 0x80000401, "unknown ext features"),
    (0x18, "<I", 9, "block size"),
    (0x04, "<I", 1 << 20, "larger than its partition"),
    (0x20, "<I", 0, "make no sense"),
    (0x28, "<I", 99, "make no sense"),
    (0x58, "<H", 100, "make no sense"),
])
def test_superblocks_that_cannot_be_trusted(offset, code, value, reason):
    disk = Ext()
    disk.change_superblock(offset, code, value)
    with pytest.raises(MapUnknown, match=reason):
        used(disk)


def test_superblock_and_descriptor_checksums():
    disk = Ext()
    disk.image[1024 + 0x78] ^= 1
    with pytest.raises(MapUnknown, match="superblock has a wrong checksum"):
        used(disk)
    disk = Ext()
    disk.image[2 * 1024 + 32] ^= 1
    with pytest.raises(MapUnknown, match="descriptor of block group 1"):
        used(disk)


def test_not_clean_without_a_journal_is_trusted_only_when_frozen():
    disk = Ext(state=0, compat=0)
    with pytest.raises(MapUnknown):
        used(disk)
    assert used(disk, frozen=True)[0] == disk.expected((5000, 5010), (9000, 9001))


def committed(disk, used_later):
    """The blocks that a transaction logs which makes `used_later` used instead of what is."""
    bitmaps = disk.bitmaps_for(used_later)
    return [(3, bitmaps[0]), (4, bitmaps[1]), (2, bytes(disk.descriptors(bitmaps)))]


@pytest.mark.parametrize("frozen", (False, True))
@pytest.mark.parametrize("checksum", (0, 1, 2, 3))
def test_map_after_recovery_and_before(checksum, frozen):
    disk = Ext(incompat=RECOVER)
    log = Log(checksum)
    log.descriptor(committed(disk, [(5000, 5005), (12000, 12003)]))
    log.commit()
    disk.journal(log)
    ranges, method = used(disk, frozen)
    assert ranges == disk.expected((5000, 5010), (9000, 9001), (12000, 12003))
    assert "3 journal blocks replayed in memory" in method


def test_recover_flag_with_an_empty_journal():
    disk = Ext(incompat=RECOVER)
    disk.journal(Log(start=0))
    assert used(disk)[0] == disk.expected((5000, 5010), (9000, 9001))


def test_the_journal_must_be_found():
    disk = Ext(incompat=RECOVER)
    with pytest.raises(MapUnknown, match="no superblock where the journal"):
        used(disk)
    disk.image[7 * 1024 + 7 * 128 + 0x34 + 8] ^= 1
    with pytest.raises(MapUnknown, match="inode has a wrong checksum"):
        used(disk)
    disk.change_superblock(0xE0, "<I", 0)
    with pytest.raises(MapUnknown, match="another device"):
        used(disk)


def test_a_damaged_logged_bitmap():
    disk = Ext(incompat=RECOVER)
    log = Log()
    log.descriptor(committed(disk, []))
    log.commit()
    disk.journal(log)
    disk.image[(Ext.JOURNAL + 2) * 1024] ^= 1
    with pytest.raises(MapUnknown, match="wrong checksum"):
        used(disk)


def test_flipped_bits_never_raise_anything_else():
    chance = random.Random(3)
    disk = Ext(incompat=RECOVER, read_only=0x1)      # without checksums, so that damage gets far
    log = Log(0)
    for step in range(3):
        log.descriptor(committed(disk, [(3000 + step, 3010)]))
        log.revoke(4, 70000)
        log.commit()
    disk.journal(log)
    places = [(1024, 3 * 1024), (7 * 1024 + 7 * 128, 7 * 1024 + 8 * 128), (Ext.JOURNAL * 1024, (Ext.JOURNAL + 20) * 1024)]
    original = bytes(disk.image)
    for _round in range(300):
        for _flip in range(chance.randrange(1, 6)):
            start, end = chance.choice(places)
            disk.image[start + int((end - start) * chance.random() ** 2)] = chance.randrange(256)
        try:
            used(disk, bool(_round & 1))
        except MapUnknown:
            pass
        disk.image[:] = original


def test_cut_short_anywhere():
    disk = Ext(incompat=RECOVER)
    log = Log()
    log.descriptor(committed(disk, []))
    log.commit()
    disk.journal(log)
    for length in (0, 100, 1024, 1500, 2048, 3000, 5000, 102 * 1024):
        with pytest.raises(MapUnknown):
            ext.used(reader(disk.image[:length]), SIZE, False)
    assert struct.unpack_from("<H", disk.image, 1024 + 0x38)[0] == 0xEF53
