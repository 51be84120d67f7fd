# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Other programs that know the file systems, to hold used maps against: e2fsprogs, xfsprogs, partclone.

partclone is wrong on bigalloc (heap overflow in 0.3.23) and does not run on file systems with an unreplayed journal: it is not asked there.
"""

import os
import re

from ansible_collections.agnostic.recovery.plugins.module_utils.source import ext, extjournal, extlayout, jbd2
from ansible_collections.agnostic.recovery.plugins.module_utils.source.disk import open_disk
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges
from source_images import copy_image, need, run

MIB = 1 << 20
NOT_FOR_PARTCLONE = ("ext4-bigalloc", "ext4-1k-bigalloc", "ext4-smaller", "ext4-seed-inline")


def assert_like_other_programs(name, kind, state, image, ranges, work):
    """What the other programs say of the file system in this state must agree with the map."""
    if kind == "xfs":
        if state == "clean":
            assert_like_xfs_db(image, ranges)
            assert not used_by_partclone(image, "xfs", work).intersect(ranges.invert(os.path.getsize(image))).total
    elif state == "dead":
        assert_replays_like_e2fsck(name, image, work)
    else:
        assert_free_like_dumpe2fs(image, ranges)
        if state == "clean" and name not in NOT_FOR_PARTCLONE:
            assert ranges == used_by_partclone(image, "ext4", work)


def free_by_dumpe2fs(image):
    """Free Ranges: dumpe2fs names the free blocks of each group, of clusters their first block."""
    text = run("dumpe2fs", image)
    block_size = int(re.search(r"^Block size:\s+(\d+)", text, re.M).group(1))
    blocks = int(re.search(r"^Block count:\s+(\d+)", text, re.M).group(1))
    cluster = re.search(r"^Cluster size:\s+(\d+)", text, re.M)
    cluster_blocks = int(cluster.group(1)) // block_size if cluster else 1
    pairs = []
    for line in re.findall(r"^  Free blocks: (\d.*)$", text, re.M):
        for item in line.split(","):
            first, _dash, last = item.strip().partition("-")
            pairs.append((int(first) * block_size, min(int(last or first) + cluster_blocks, blocks) * block_size))
    return Ranges(pairs)


def used_by_partclone(image, kind, work):
    """The ddrescue map of `partclone -D`: + is used."""
    program = f"partclone.{kind}"
    need(program)
    path = os.path.join(work, "partclone.map")
    run(program, "-D", "-s", image, "-O", path, "-L", "/dev/null")
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file if line.startswith("0x")]
    return Ranges((int(row[0], 16), int(row[0], 16) + int(row[1], 16)) for row in rows if len(row) == 3 and row[2] == "+")


def assert_free_like_dumpe2fs(image, ranges):
    """Bit for bit, but for the fixed metadata that we keep whatever the bitmaps say, and the space behind the file system."""
    free = free_by_dumpe2fs(image)
    assert not ranges.intersect(free).total
    with open_disk(image, "disk") as source:
        superblock = extlayout.read_superblock(source.read_at, source.size)
    free_of_ours = ranges.invert(superblock.extent)
    assert free_of_ours == free.clip(superblock.own_block * superblock.block_size, superblock.extent)


def assert_replays_like_e2fsck(name, image, work):
    """Every block of the file system after `e2fsck -E journal_only` is what the overlay says, and nothing else changed."""
    after = copy_image(image, os.path.join(work, "after"))
    run("e2fsck", "-y", "-E", "journal_only", after, accept=(0, 1))
    with open_disk(image, "disk") as source, open_disk(after, "disk") as target:
        superblock = extlayout.read_superblock(source.read_at, source.size)
        assert superblock.incompat & extlayout.INCOMPAT_RECOVER
        journal, journal_start = find_journal(source, superblock)
        assert journal.csum_v1 == (name in ("ext4-old-csum", "ext4-no-csum"))
        assert_replayed(superblock, jbd2.replay(journal), journal, journal_start, source, target)


def find_journal(source, superblock):
    """The journal, and the file system block that it begins at."""
    table = ext.descriptor_table(ext.View(source.read_at, superblock.block_size), superblock)
    inode = extjournal._read_inode(source.read_at, superblock, table)
    return extjournal.journal_of(source.read_at, superblock, table), extjournal._journal_blocks(source.read_at, superblock, inode)[0]


def assert_replayed(superblock, overlay, journal, journal_start, source, target):
    size = superblock.block_size
    batch = MIB // size
    changed = []
    for first in range(0, superblock.blocks, batch):
        old, new = source.read_at(first * size, batch * size), target.read_at(first * size, batch * size)
        expected = bytearray(old)
        for block in range(first, min(first + batch, superblock.blocks)):
            if block in overlay:
                expected[(block - first) * size:(block - first + 1) * size] = overlay[block].content(journal)
        if expected != new:
            places = (slice(index * size, (index + 1) * size) for index in range(batch))
            changed += [first + index for index, place in enumerate(places) if expected[place] != new[place]]
    # e2fsck also updates the superblock and the copies of it and of the descriptors, and the journal's own superblock
    heads = {block for group in range(superblock.groups) for start, end in extlayout._group_head(superblock, group)
             for block in range(start, end) if block not in overlay}
    own = heads | {superblock.own_block, journal_start}
    others = [block for block in changed if block not in own]
    assert not others, others


def assert_like_xfs_db(image, ranges):
    free = free_of_xfs(image)
    assert free.total
    assert ranges.intersect(free).total == on_free_lists(image)
    assert free.union(ranges) == Ranges.whole(os.path.getsize(image))


def on_free_lists(image):
    """Bytes on the free lists (AGFL) of all groups: xfs_db calls them free, we keep them."""
    groups = int(re.search(r"agcount = (\d+)", run("xfs_db", "-r", "-c", "sb 0", "-c", "p agcount", image)).group(1))
    asked = [word for group in range(groups) for word in ("-c", f"agf {group}", "-c", "p flcount")]
    block_size = int(re.search(r"blocksize = (\d+)", run("xfs_db", "-r", "-c", "sb 0", "-c", "p blocksize", image)).group(1))
    return block_size * sum(int(count) for count in re.findall(r"flcount = (\d+)", run("xfs_db", "-r", *asked, image)))


def free_of_xfs(image):
    text = run("xfs_db", "-r", "-c", "freesp -d", "-c", "sb 0", "-c", "p blocksize agblocks", image)
    block_size = int(re.search(r"^blocksize = (\d+)", text, re.M).group(1))
    group = int(re.search(r"^agblocks = (\d+)", text, re.M).group(1))
    rows = re.findall(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s*$", text, re.M)
    extents = ((int(number) * group + int(start), int(count)) for number, start, count in rows)
    return Ranges((first * block_size, (first + count) * block_size) for first, count in extents)


def reached_by_dump_tree(image):
    """What the trees and files of a btrfs over one device reach, whatever its extent tree says: Ranges.

    partclone marks more than is used.
    """
    text = run("btrfs", "inspect-internal", "dump-tree", image)
    node_size = int(re.search(r"^nodesize\s+(\d+)", run("btrfs", "inspect-internal", "dump-super", image), re.M).group(1))
    chunks = []
    for start, length, stripes in re.findall(r"CHUNK_ITEM (\d+)\).*\n\s+length (\d+).*\n.*\n.*\n((?:\s+stripe \d.*\n.*\n)+)", text):
        chunks += [(int(start), int(length), int(offset)) for offset in re.findall(r"stripe \d+ devid 1 offset (\d+)", stripes)]
    extents = {(int(start), int(length)) for start, length in re.findall(r"data disk byte ([1-9]\d*) nr (\d+)", text)}
    extents |= {(int(start), node_size) for start in re.findall(r"^(?:leaf|node) (\d+) ", text, re.M)}
    return Ranges((offset + first - start, offset + first - start + length)
                  for start, size, offset in chunks for first, length in extents if start <= first < start + size)
