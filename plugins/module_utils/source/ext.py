# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Used-block map of ext2, ext3 and ext4 from their block bitmaps.

A file system whose journal is not empty is mapped as it will be after the journal's recovery, which is worked out in memory; the blocks
that its bitmaps name before the recovery are kept too. With data=ordered file data reach their blocks before the transaction that
allocates them commits, so the recovered bitmaps name every block whose content matters. Orphan processing at mount only frees blocks.
"""

from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from .bitmap import set_runs
from .extjournal import journal_of
from .extlayout import (COMPAT_HAS_JOURNAL, INCOMPAT_RECOVER, STATE_ERROR, STATE_VALID, Group, Superblock, bitmap_is_right,
                        descriptor_block, metadata_blocks, parse_groups, read_superblock)
from .jbd2 import Journal, Logged, replay
from .mapread import MapUnknown, ReadAt, read_exactly
from .ranges import Ranges, RangesBuilder

BATCH_BLOCKS = 64       # adjacent block bitmaps (flex_bg packs 16 and more) are read at once


def used(read_at: ReadAt, size: int, frozen: bool) -> Tuple[Ranges, str]:
    """Used bytes of the partition of `size` bytes, and how they were found; MapUnknown where that cannot be told for certain.

    frozen: the file system was mounted and frozen when read, so its maps are complete.
    """
    superblock = read_superblock(read_at, size)
    if superblock.state & STATE_ERROR:
        raise MapUnknown("the file system has recorded errors; check it")
    if not superblock.state & STATE_VALID and not frozen:
        raise MapUnknown("mounted without a journal, or not unmounted cleanly")     # a journal alone leaves the state valid
    if superblock.incompat & INCOMPAT_RECOVER:
        return _used_after_recovery(read_at, size, superblock)
    found = _map(View(read_at, superblock.block_size), size, superblock, verify=True)
    return found.ranges, "ext block bitmaps" + found.remark


def _used_after_recovery(read_at: ReadAt, size: int, superblock: Superblock) -> Tuple[Ranges, str]:
    if not superblock.compat & COMPAT_HAS_JOURNAL or not superblock.journal_inode:
        raise MapUnknown("its journal is on another device")
    plain = View(read_at, superblock.block_size)
    journal = journal_of(read_at, superblock, descriptor_table(plain, superblock))
    view = View(read_at, superblock.block_size, journal, replay(journal))
    recovered = read_superblock(view.read_at, size)
    if recovered.block_size != superblock.block_size or recovered.state & STATE_ERROR:
        raise MapUnknown("the journal holds a superblock with errors")
    after = _map(view, size, recovered, verify=True)
    before = _map(plain, size, superblock, verify=False)
    return after.ranges.union(before.ranges), f"ext block bitmaps, {len(view.overlay)} journal blocks replayed in memory" + after.remark


def used_while_running(read_at: ReadAt, size: int) -> Ranges:
    """About what is used while the file system is mounted and in use: to begin with, no evidence. MapUnknown."""
    superblock = read_superblock(read_at, size)
    return _map(View(read_at, superblock.block_size), size, superblock, verify=False).ranges


class View:
    """Reads blocks of the partition as they are, or as they will be once the journal was recovered."""

    def __init__(self, read_at: ReadAt, block_size: int, journal: Optional[Journal] = None, overlay: Optional[Dict[int, Logged]] = None):
        self._read_at = read_at
        self.block_size = block_size
        self._journal = journal
        self.overlay = overlay or {}

    def blocks(self, first: int, count: int) -> bytes:
        """`count` blocks from block `first` on."""
        data = read_exactly(self._read_at, first * self.block_size, count * self.block_size, "metadata")
        changed = [block for block in range(first, first + count) if block in self.overlay]
        if not changed:
            return data
        pieces = bytearray(data)
        for block in changed:
            position = (block - first) * self.block_size
            pieces[position:position + self.block_size] = self.overlay[block].content(self._journal)
        return bytes(pieces)

    def read_at(self, offset: int, length: int) -> bytes:
        first = offset // self.block_size
        end = -(-(offset + length) // self.block_size)
        start = offset - first * self.block_size
        return self.blocks(first, end - first)[start:start + length]


class _Map(NamedTuple):
    ranges: Ranges
    remark: str


def _map(view: View, size: int, superblock: Superblock, verify: bool) -> _Map:
    """The map by the bitmaps that the view shows.

    verify: wrong checksums and counts make a group used as a whole, or the map unknown. Without it (state before recovery, where
    descriptors and bitmaps need not agree) bits are taken as they are.
    """
    groups = parse_groups(superblock, descriptor_table(view, superblock), verify)
    block_size = superblock.block_size
    builder = RangesBuilder()
    damaged = 0
    for number, bitmap in _bitmaps(view, groups):
        start = superblock.group_start(number)
        blocks = superblock.group_blocks(number)
        if bitmap is None:
            continue
        clusters = -(-blocks // superblock.cluster_blocks)
        runs, count = set_runs(bitmap, clusters)
        if verify and (clusters - count != groups[number].free_clusters or not bitmap_is_right(superblock, groups[number], bitmap)):
            runs, damaged = [(0, clusters)], damaged + 1
        for first, end in runs:
            builder.add((start + first * superblock.cluster_blocks) * block_size,
                        (start + min(end * superblock.cluster_blocks, blocks)) * block_size)
    metadata = Ranges((first * block_size, end * block_size) for first, end in metadata_blocks(superblock, groups))
    tail = Ranges([(superblock.extent, size)])
    remark = f", {damaged} of {len(groups)} groups read whole because their bitmaps are damaged" if damaged else ""
    return _Map(builder.ranges().union(metadata).union(tail), remark)


def descriptor_table(view: View, superblock: Superblock) -> bytes:
    """The primary descriptors of all groups."""
    blocks = [descriptor_block(superblock, index) for index in range(superblock.descriptor_blocks)]
    if blocks[-1] - blocks[0] == len(blocks) - 1:
        return view.blocks(blocks[0], len(blocks))
    return b"".join(view.blocks(block, 1) for block in blocks)


def _bitmaps(view: View, groups: List[Group]) -> Iterator[Tuple[int, Optional[bytes]]]:
    """(group number, block bitmap) in order of the groups; None for a group whose bitmap is not on disk."""
    number = 0
    while number < len(groups):
        if groups[number].uninitialised:
            yield number, None
            number += 1
            continue
        first = groups[number].block_bitmap
        count = 1
        while (count < BATCH_BLOCKS and number + count < len(groups) and groups[number + count].block_bitmap == first + count
               and not groups[number + count].uninitialised):
            count += 1
        data = view.blocks(first, count)
        for index in range(count):
            yield number + index, data[index * view.block_size:(index + 1) * view.block_size]
        number += count
