# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The regular files of XFS, versions 4 and 5, with all their blocks.

Format: "XFS Algorithms & Data Structures" (xfs.org), kernel fs/xfs/libxfs/xfs_format.h. Big endian.
"""

import struct
from typing import Iterator, List, NamedTuple, Tuple

from ..mapread import MapUnknown, ReadAt, read_exactly
from ..xfs import ShortTree, Superblock, read_superblock, short_tree_leaves, split
from .scan import File

INODE_TREE = ShortTree("inode tree", {4: b"IABT", 5: b"IAB3"}, 4, 16)
AGI_MAGIC = b"XAGI"
INODE_MAGIC = b"IN"
CHUNK_INODES = 64
INCOMPAT_SPARSE_INODES = 0x2
CORE = {2: 100, 3: 176}              # bytes of an inode before its data fork, by version of the inode
FORMAT_LOCAL, FORMAT_EXTENTS, FORMAT_TREE = 1, 2, 3
FLAG_REALTIME, FLAG_IMMUTABLE = 0x1, 0x8
FLAG2_DAX, FLAG2_BIG_TIME, FLAG2_MANY_EXTENTS, FLAG2_METADATA = 0x1, 0x8, 0x10, 0x20
BIG_TIME_EPOCH = 1 << 31             # seconds before 1970 at which it begins
MAP_MAGIC = {4: b"BMAP", 5: b"BMA3"}
MAP_HEADER = {4: 24, 5: 72}
MAP_MAX_LEVELS = 16


class _Layout(NamedTuple):
    inode_size: int
    inodes_per_block: int
    sparse: bool
    own: frozenset                   # inode numbers of the file system itself: bitmaps, quota


def files(read_at: ReadAt, size: int, skip: frozenset) -> Iterator[File]:
    """Every regular file in use, save those in `skip` and those that are written to in ways that leave no trace in their inode."""
    superblock = read_superblock(read_at, size)
    layout = _read_layout(read_at, superblock)
    for group in range(superblock.groups):
        try:
            yield from _files_of_group(read_at, superblock, layout, group, skip)
        except MapUnknown:
            continue                 # its tree is being changed: the files of this group prove nothing


def _read_layout(read_at: ReadAt, superblock: Superblock) -> _Layout:
    data = read_exactly(read_at, 0, superblock.sector_size, "superblock")
    inode_size, per_block = struct.unpack_from(">2H", data, 104)
    sane = inode_size in (256, 512, 1024, 2048) and per_block * inode_size == superblock.block_size
    if not sane:
        raise MapUnknown("the superblock's inode sizes make no sense")
    own = struct.unpack_from(">2Q", data, 64) + struct.unpack_from(">2Q", data, 152)
    sparse = False
    if superblock.version == 5:
        own += struct.unpack_from(">Q", data, 232)
        sparse = bool(struct.unpack_from(">I", data, 216)[0] & INCOMPAT_SPARSE_INODES)
    return _Layout(inode_size, per_block, sparse, frozenset(own))


def _files_of_group(read_at: ReadAt, superblock: Superblock, layout: _Layout, group: int, skip: frozenset) -> Iterator[File]:
    header = read_exactly(read_at, superblock.offset(group, 0) + 2 * superblock.sector_size, superblock.sector_size, "AGI")
    root, levels = struct.unpack_from(">2I", header, 20)
    if header[:4] != AGI_MAGIC or struct.unpack_from(">I", header, 8)[0] != group:
        raise MapUnknown(f"the inode header of allocation group {group} is damaged")
    inode_bits = superblock.block_log + layout.inodes_per_block.bit_length() - 1
    base = superblock.offset(group, 0)
    for records in short_tree_leaves(read_at, superblock, INODE_TREE, group, root, levels):
        for first, holes, _counts, free in struct.iter_unpack(">IHHQ", records):
            if not layout.sparse:
                holes = 0            # the field is the upper half of the count of free inodes
            if (first + CHUNK_INODES) * layout.inode_size > superblock.length_of(group) * superblock.block_size:
                raise MapUnknown(f"the inode tree of allocation group {group} is damaged")
            data = read_exactly(read_at, base + first * layout.inode_size, CHUNK_INODES * layout.inode_size, "inodes")
            for index in range(CHUNK_INODES):
                if free >> index & 1 or holes >> index // 4 & 1:
                    continue
                number = group << inode_bits | first + index
                if number in layout.own or number in skip:
                    continue
                start = index * layout.inode_size
                file = _file(read_at, superblock, group, first + index, number, data[start:start + layout.inode_size])
                if file is not None:
                    yield file


def _file(read_at: ReadAt, superblock: Superblock, group: int, index: int, number: int, inode: bytes):
    """The file of an inode; None for another kind of thing, and for a file of which nothing is known for certain."""
    magic, mode, version, form = struct.unpack_from(">2sHBB", inode)
    flags, flags2 = struct.unpack_from(">H", inode, 90)[0], 0
    if magic != INODE_MAGIC or mode & 0xF000 != 0x8000 or version not in CORE:
        return None
    if version == 3:
        flags2 = struct.unpack_from(">Q", inode, 120)[0]
        if struct.unpack_from(">Q", inode, 152)[0] != number:
            return None
    if flags & (FLAG_REALTIME | FLAG_IMMUTABLE) or flags2 & (FLAG2_DAX | FLAG2_METADATA) or not struct.unpack_from(">I", inode, 16)[0]:
        return None
    blank = bytearray(inode)
    blank[32:40] = bytes(8)                                     # access time
    blank[96:100] = bytes(4)                                    # next in a list of unlinked inodes
    if version == 3:
        blank[100:120] = bytes(20)                              # checksum, change counter, log sequence number
    else:
        blank[30:32] = bytes(2)                                 # counts how often the inode was written
    stamp = struct.unpack_from(">Q", inode, 48)[0]
    changed = stamp // 1000000000 - BIG_TIME_EPOCH if flags2 & FLAG2_BIG_TIME else struct.unpack_from(">i", inode, 48)[0]
    walker = _Walker(read_at, superblock, number)
    try:
        extents = walker.data_of(inode, CORE[version], form, bool(flags2 & FLAG2_MANY_EXTENTS))
    except MapUnknown:
        return None                                             # being changed in this moment, or damaged: it proves nothing
    return File(group, index, hash((bytes(blank), walker.digest)) & 0xFFFFFFFFFFFFFFFF or 1, changed, extents)


class _Walker:
    """Follows the block map of one inode; `digest` covers the blocks that this takes."""

    def __init__(self, read_at: ReadAt, superblock: Superblock, number: int):
        self._read_at = read_at
        self._superblock = superblock
        self._number = number
        self._blocks = 0
        self.digest = 0

    def data_of(self, inode: bytes, core: int, form: int, many: bool) -> List[Tuple[int, int]]:
        end = core + inode[82] * 8 if inode[82] else len(inode)  # where the attribute fork begins
        fork = inode[core:end]
        if form == FORMAT_LOCAL:
            return []
        if form == FORMAT_EXTENTS:
            count = struct.unpack_from(">Q", inode, 24)[0] if many else struct.unpack_from(">I", inode, 76)[0]
            return self._records(fork, 0, count)
        if form != FORMAT_TREE:
            raise MapUnknown("an inode has an unknown kind of data")
        level, records = struct.unpack_from(">2H", fork)
        room = (len(fork) - 4) // 16
        return self._children(fork, 4 + 8 * room, records, room, level - 1)

    def _children(self, data: bytes, position: int, records: int, room: int, level: int) -> List[Tuple[int, int]]:
        if records > room or not 0 <= level < MAP_MAX_LEVELS:
            raise MapUnknown("a block map makes no sense")
        found = []
        for child in struct.unpack_from(f">{records}Q", data, position):
            found += self._below(child, level)
        return found

    def _below(self, block: int, level: int) -> List[Tuple[int, int]]:
        superblock = self._superblock
        start, _end = self._bytes(block, 1)
        self._blocks += 1
        if self._blocks > superblock.blocks:
            raise MapUnknown("a block map runs in circles")
        data = read_exactly(self._read_at, start, superblock.block_size, "block map")
        magic, own_level, records = struct.unpack_from(">4s2H", data)
        header = MAP_HEADER[superblock.version]
        if magic != MAP_MAGIC[superblock.version] or own_level != level or (
                superblock.version == 5 and struct.unpack_from(">Q", data, 56)[0] != self._number):
            raise MapUnknown("a block map is damaged")
        room = (superblock.block_size - header) // 16
        self.digest = hash((self.digest, block, data[header:]))
        if level:
            return self._children(data, header + 8 * room, records, room, level - 1)
        return self._records(data, header, records)

    def _records(self, data: bytes, position: int, count: int) -> List[Tuple[int, int]]:
        if position + 16 * count > len(data):
            raise MapUnknown("a block map makes no sense")
        found = []
        for high, low in struct.iter_unpack(">2Q", data[position:position + 16 * count]):
            found.append(self._bytes((high & 0x1FF) << 43 | low >> 21, low & 0x1FFFFF))
        return found

    def _bytes(self, block: int, count: int) -> Tuple[int, int]:
        superblock = self._superblock
        group, within = split(superblock, block)
        if group >= superblock.groups or not 0 < within <= superblock.length_of(group) - count:
            raise MapUnknown("a block map points outside of the file system")
        start = superblock.offset(group, within)
        return start, start + count * superblock.block_size
