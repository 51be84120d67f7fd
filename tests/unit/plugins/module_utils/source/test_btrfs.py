# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import random

import pytest
from ansible_collections.agnostic.recovery.plugins.module_utils.machine.model import Content, Disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from ansible_collections.agnostic.recovery.plugins.module_utils.source.usedmap import used_maps
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.btrfs_builder import (
    DATA_AT, METADATA_AT, MIB, NODE, RAID0, RAID1, SYSTEM_AT, Btrfs)
from ansible_collections.agnostic.recovery.tests.unit.plugins.module_utils.source.builders import reader

HEAD = Ranges([(0, MIB)])
TREES = Ranges([(MIB, MIB + NODE), (2 * MIB, 2 * MIB + 4 * NODE)])
DATA = Ranges([(4 * MIB, 4 * MIB + 8192), (4 * MIB + (64 << 10), 4 * MIB + (68 << 10))])


def maps(images):
    return used_maps([(reader(image), Disk(f"vd{number}", len(image), content=Content("btrfs"))) for number, image in enumerate(images)])


def assert_whole(images, reason):
    for found, image in zip(maps(images), images):
        assert found.ranges == Ranges.whole(len(image))
        assert reason in found.parts[0].note, found.parts


@pytest.mark.parametrize("levels", (1, 2))
@pytest.mark.parametrize("group_tree", (False, True))
def test_one_device(levels, group_tree):
    made = Btrfs(levels=levels, group_tree=group_tree)
    found, = maps(made.images)
    more = Ranges([(2 * MIB, 2 * MIB + 5 * NODE)]) if group_tree else Ranges()
    assert found.ranges == HEAD.union(TREES).union(more).union(DATA)
    assert found.parts[0].method == "btrfs extent tree"


def test_space_behind_the_file_system_is_used():
    images = [Btrfs().images[0] + bytes(700)]
    assert maps(images)[0].ranges == HEAD.union(TREES).union(DATA).union(Ranges([(8 * MIB, 8 * MIB + 700)]))


def test_a_log_tree_makes_all_chunks_used():
    found, = maps(Btrfs(log_root=METADATA_AT + 9 * NODE).images)
    assert found.ranges == HEAD.union(Ranges([(MIB, 3 * MIB), (4 * MIB, 5 * MIB)]))
    assert found.parts[0].method == "btrfs chunks, a log is not replayed"


def test_mirrored_data():
    first, second = maps(Btrfs(devices=2, profile=RAID1).images)
    assert first.ranges == HEAD.union(TREES).union(DATA)
    assert second.ranges == HEAD.union(DATA)


def test_striped_data_keeps_whole_rows():
    first, second = maps(Btrfs(data=((0, 4096), (130 << 10, 4096)), devices=2, profile=RAID0).images)
    rows = Ranges([(4 * MIB, 4 * MIB + (128 << 10))])
    assert first.ranges == HEAD.union(TREES).union(rows)
    assert second.ranges == HEAD.union(rows)


def test_devices_that_do_not_belong_together():
    images = Btrfs(devices=2, profile=RAID1).images
    assert_whole(images[:1], "1 of its 2 devices are here")
    assert_whole([images[0], images[0]], "devices are here")
    other = Btrfs(devices=2, profile=RAID1, generation=8).images
    assert_whole([images[0], other[1]], "not written last together")


@pytest.mark.parametrize("position, code, value, reason", [
    (0x40, "<Q", 1, "no btrfs superblock"),
    (0x30, "<Q", 1, "no btrfs superblock"),
    (0x38, "<Q", 1 | 1 << 35, "unknown btrfs features"),
    (0xBC, "<Q", 0x1341, "unknown btrfs features"),        # zoned
    (0xBC, "<Q", 0x4341, "unknown btrfs features"),        # raid stripe tree
    (0xB4, "<Q", 0x100, "unknown btrfs features"),
    (0xC4, "<H", 1, "checksums of type 1"),
    (0xC4, "<H", 2, "wrong checksum"),
    (0x94, "<I", 5000, "make no sense"),
    (0xA0, "<I", 4000, "make no sense"),
    (0xD1, "<Q", 9 * MIB, "larger than its partition"),
    (0x78, "<Q", 5, "counts other used bytes"),
    (0x50, "<Q", METADATA_AT + NODE, "damaged"),
    (0x58, "<Q", SYSTEM_AT + NODE, "damaged"),
    (0xA4, "<Q", 8, "damaged"),
    (0xC6, "<B", 1, "damaged"),
    (0xC6, "<B", 9, "damaged"),
    (0x32B + 8, "<B", 1, "list of chunks is damaged"),
    (0x32B + 17 + 24, "<Q", 0x82, "chunks of type 0x82"),  # raid5
])
def test_superblocks_that_cannot_be_trusted(position, code, value, reason):
    made = Btrfs()
    made.change(position, code, value)
    assert_whole(made.images, reason)


def test_wrong_checksums():
    for place in (65536 + 0x50, MIB + 500, 2 * MIB + 200, 2 * MIB + NODE + 120, 2 * MIB + 2 * NODE + 1000):
        made = Btrfs()
        made.images[0][place] ^= 1
        assert_whole(made.images, "wrong checksum" if place < MIB else "damaged")


@pytest.mark.parametrize("totals", ({DATA_AT: 4096}, {METADATA_AT: 0}, {SYSTEM_AT: MIB}))
def test_totals_of_block_groups_must_agree(totals):
    assert_whole(Btrfs(totals=totals).images, "counts other used bytes")


def test_extents_that_make_no_sense():
    assert_whole(Btrfs(data=((0, 8192), (4096, 8192))).images, "extents overlap")
    assert_whole(Btrfs(data=((0, 8192), (MIB, 4096))).images, "counts other used bytes")


def test_a_tree_that_bites_its_tail():
    made = Btrfs()
    made.change(101 + 33 + 17, "<Q", METADATA_AT + 2 * NODE, block=2 * MIB + NODE)
    assert_whole(made.images, "bites its tail")


def test_flipped_bits_never_free_what_is_used():
    """With right checksums nothing but the fixed places can be promised, and that nothing is raised."""
    chance = random.Random(7)
    truth = HEAD.union(TREES).union(DATA)
    blocks = [65536, MIB] + [2 * MIB + index * NODE for index in range(4)]
    made = Btrfs()
    original = bytes(made.images[0])
    for round_number in range(400):
        made.images[0][:] = original
        block = chance.choice(blocks)
        place = 32 + int((1000 if block == 65536 else 500) * chance.random() ** 2)
        if round_number % 2:
            made.images[0][block + place] ^= 1 << chance.randrange(8)
            expected = truth
        else:
            made.change(place, "<B", chance.randrange(256), block=block)
            expected = HEAD
        found, = maps(made.images)
        assert not expected.intersect(found.ranges.invert(Btrfs.SIZE)), (block, place, found.parts)
