# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The regular files of ext2, ext3 and ext4, with all their blocks.

Format: kernel Documentation/filesystems/ext4 (inodes.rst, ifork.rst, group_descr.rst, attributes.rst). Little endian.
"""

import struct
from typing import Iterator, List, NamedTuple, Tuple

from ..bitmap import set_runs
from ..ext import View, descriptor_table
from ..extlayout import SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Superblock, inode_use, parse_groups, read_superblock
from ..mapread import MapUnknown, ReadAt, read_exactly
from .scan import File

FLAG_IMMUTABLE, FLAG_JOURNAL_DATA, FLAG_EXTENTS, FLAG_EA_INODE, FLAG_DAX, FLAG_INLINE = (
    0x10, 0x4000, 0x80000, 0x200000, 0x2000000, 0x10000000)
# The kernel itself writes to files that it made immutable (quota), to extended attribute inodes, and in ways of their own to the others.
FLAGS_UNSURE = FLAG_IMMUTABLE | FLAG_JOURNAL_DATA | FLAG_EA_INODE | FLAG_DAX | FLAG_INLINE
REGULAR, TYPE_MASK = 0x8000, 0xF000
EXTENT_MAGIC = 0xF30A
EXTENT_MAX_DEPTH = 5
EXTENT_UNWRITTEN = 32768             # lengths above mean "allocated, never written"
DIRECT_BLOCKS = 12
CHECKSUM_HIGH_END, CTIME_EXTRA_END, ATIME_EXTRA_END = 4, 8, 16      # i_extra_isize of an inode that has these fields
DEFAULT_OPTIONS, DEFAULT_MODE, DEFAULT_JOURNAL_DATA = 0x100, 0x60, 0x20
BATCH = 1 << 20                      # bytes of an inode table read at once

_EXTENT = struct.Struct("<IHHI")
_INDEX = struct.Struct("<IIH")


class _Special(NamedTuple):
    """Inodes that look like files and are not."""
    first: int                       # all below are the file system's own
    others: frozenset                # orphan file, project quota


def files(read_at: ReadAt, size: int, skip: frozenset) -> Iterator[File]:
    """Every regular file in use, save those in `skip` and those that are written to in ways that leave no trace in their inode."""
    superblock = read_superblock(read_at, size)
    special = _special(read_at)
    view = View(read_at, superblock.block_size)
    table = descriptor_table(view, superblock)
    groups = parse_groups(superblock, table, verify=False)
    walker = _Walker(view, superblock)
    for number, group in enumerate(groups):
        inodes = inode_use(superblock, table, number)
        if not inodes.used:
            continue
        runs, _count = set_runs(view.blocks(inodes.bitmap, 1), inodes.used)
        for first, end in _batches(runs, max(1, BATCH // superblock.inode_size)):
            yield from _files_in(walker, number, group.inode_table, first, end, special, skip)


def _special(read_at: ReadAt) -> _Special:
    data = read_exactly(read_at, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, "superblock")

    def u32(offset):
        return struct.unpack_from("<I", data, offset)[0]

    if u32(DEFAULT_OPTIONS) & DEFAULT_MODE == DEFAULT_JOURNAL_DATA:
        raise MapUnknown("its file data go through the journal")
    return _Special(max(u32(0x54), 11) if u32(0x4C) else 11, frozenset((u32(0x26C), u32(0x280))))


def _batches(runs: List[Tuple[int, int]], most: int) -> Iterator[Tuple[int, int]]:
    for first, end in runs:
        for start in range(first, end, most):
            yield start, min(end, start + most)


def _files_in(walker: "_Walker", group: int, table: int, first: int, end: int, special: _Special, skip: frozenset) -> Iterator[File]:
    superblock = walker.superblock
    size = superblock.inode_size
    data = walker.view.read_at(table * superblock.block_size + first * size, (end - first) * size)
    number = group * superblock.inodes_per_group + first        # inode numbers begin with 1
    for index in range(end - first):
        number += 1
        start = index * size
        # The second byte of the mode tells the type; most inodes that are passed over end here.
        if data[start + 1] & 0xF0 != 0x80 or number < special.first or number in special.others or number in skip:
            continue
        file = _file(walker, group, first + index, data[start:start + size])
        if file is not None:
            yield file


def _file(walker: "_Walker", group: int, index: int, inode: bytes):
    """The file of an inode; None for one of which nothing is known for certain."""
    flags, links = struct.unpack_from("<I", inode, 0x20)[0], struct.unpack_from("<H", inode, 0x1A)[0]
    if flags & FLAGS_UNSURE or not links:
        return None
    changed = struct.unpack_from("<i", inode, 0xC)[0]
    blank = bytearray(inode)
    blank[0x8:0xC] = bytes(4)                                   # access time
    blank[0x7C:0x7E] = bytes(2)                                 # checksum
    extra = struct.unpack_from("<H", inode, 0x80)[0] if len(inode) > 128 else 0
    if extra >= CHECKSUM_HIGH_END:
        blank[0x82:0x84] = bytes(2)
    if extra >= CTIME_EXTRA_END:
        changed += (inode[0x84] & 3) << 32
    if extra >= ATIME_EXTRA_END:
        blank[0x8C:0x90] = bytes(4)
    walker.start()
    try:
        extents = walker.extents(inode[0x28:0x64]) if flags & FLAG_EXTENTS else walker.mapped(inode[0x28:0x64])
    except MapUnknown:
        return None                                             # being changed in this moment, or damaged: it proves nothing
    return File(group, index, hash((bytes(blank), walker.digest)) & 0xFFFFFFFFFFFFFFFF or 1, changed, extents)


class _Walker:
    """Follows block maps of one file system; `digest` covers the blocks of maps that were read for the file at hand."""

    def __init__(self, view: View, superblock: Superblock):
        self.view = view
        self.superblock = superblock
        self.digest = 0
        self._blocks = 0

    def start(self) -> None:
        self.digest = 0
        self._blocks = 0

    def _read(self, block: int) -> bytes:
        """A block of a map. Bounded, so that a damaged file system cannot keep us."""
        self._blocks += 1
        if not self.superblock.first_data_block < block < self.superblock.blocks or self._blocks > self.superblock.blocks:
            raise MapUnknown("a block map points outside of the file system")
        data = self.view.blocks(block, 1)
        self.digest = hash((self.digest, block, data))
        return data

    def _bytes(self, block: int, count: int) -> Tuple[int, int]:
        if not self.superblock.first_data_block < block <= self.superblock.blocks - count:
            raise MapUnknown("a block map points outside of the file system")
        return block * self.superblock.block_size, (block + count) * self.superblock.block_size

    def extents(self, node: bytes, max_depth: int = EXTENT_MAX_DEPTH) -> List[Tuple[int, int]]:
        """The data below a node of an extent tree."""
        magic, entries, room, depth = struct.unpack_from("<4H", node)
        if magic != EXTENT_MAGIC or entries > room or 12 + 12 * room > len(node) or depth > max_depth:
            raise MapUnknown("an extent tree makes no sense")
        found = []
        for position in range(12, 12 + 12 * entries, 12):
            if depth:
                _logical, low, high = _INDEX.unpack_from(node, position)
                found += self.extents(self._read(high << 32 | low), depth - 1)
            else:
                _logical, length, high, low = _EXTENT.unpack_from(node, position)
                found.append(self._bytes(high << 32 | low, length - EXTENT_UNWRITTEN if length > EXTENT_UNWRITTEN else length))
        return found

    def mapped(self, root: bytes) -> List[Tuple[int, int]]:
        """The data of a file with the block map of ext2 and ext3."""
        pointers = struct.unpack("<15I", root)
        found = [self._bytes(block, 1) for block in pointers[:DIRECT_BLOCKS] if block]
        for depth, block in enumerate(pointers[DIRECT_BLOCKS:], 1):
            found += self._mapped_below(block, depth)
        return found

    def _mapped_below(self, block: int, depth: int) -> List[Tuple[int, int]]:
        if not block:
            return []
        if depth == 0:
            return [self._bytes(block, 1)]
        found = []
        data = self._read(block)
        for child in struct.unpack(f"<{len(data) // 4}I", data):
            found += self._mapped_below(child, depth - 1)
        return found
