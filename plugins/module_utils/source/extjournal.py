# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the internal journal of an ext3 or ext4 file system: the blocks of its inode.

Format: kernel Documentation/filesystems/ext4 (inodes.rst, ifork.rst). Little endian.
"""

import struct
from array import array
from typing import Iterator, Tuple

from .checksum import crc32c
from .extlayout import Superblock, parse_groups
from .jbd2 import Journal, open_journal
from .mapread import MapUnknown, ReadAt, read_exactly

INODE_EXTENTS = 0x80000
INODE_INLINE = 0x10000000
EXTENT_MAGIC = 0xF30A
EXTENT_MAX_DEPTH = 5
EXTENT_UNWRITTEN = 32768            # lengths above mean "allocated, never written"
JOURNAL_MAX_BLOCKS = 1 << 24        # e2fsprogs makes journals of at most 10,240,000 blocks
DIRECT_BLOCKS = 12
JOURNAL_MAGIC, JOURNAL_SUPERBLOCKS = 0xC03B3998, (3, 4)


def journal_of(read_at: ReadAt, superblock: Superblock, descriptor_table: bytes) -> Journal:
    """Open the journal in the file system's journal inode; MapUnknown where it cannot be followed."""
    inode = _read_inode(read_at, superblock, descriptor_table)
    blocks = _journal_blocks(read_at, superblock, inode)
    block_size = superblock.block_size

    def read_block(number: int) -> bytes:
        if number >= len(blocks):
            raise MapUnknown(f"journal: block {number} lies beyond its end")
        return read_exactly(read_at, blocks[number] * block_size, block_size, "journal")

    return open_journal(read_block, block_size, len(blocks))


def journal_body(read_at: ReadAt, superblock: Superblock, descriptor_table: bytes) -> Tuple[bool, Iterator[Tuple[int, int]]]:
    """Whether the journal is empty, and its blocks save the first, which says so, as runs [first, end); MapUnknown."""
    blocks = _journal_blocks(read_at, superblock, _read_inode(read_at, superblock, descriptor_table))
    head = read_exactly(read_at, blocks[0] * superblock.block_size, 1024, "journal")
    magic, kind, start = struct.unpack_from(">I", head)[0], struct.unpack_from(">I", head, 4)[0], struct.unpack_from(">I", head, 0x1C)[0]
    if magic != JOURNAL_MAGIC or kind not in JOURNAL_SUPERBLOCKS:
        raise MapUnknown("journal: its superblock makes no sense")
    return start == 0, ((block, block + 1) for block in sorted(blocks[1:]))


def _read_inode(read_at: ReadAt, superblock: Superblock, descriptor_table: bytes) -> bytes:
    number, index = divmod(superblock.journal_inode - 1, superblock.inodes_per_group)
    if number >= superblock.groups:
        raise MapUnknown("journal: no such inode")
    table = parse_groups(superblock, descriptor_table, verify=False)[number].inode_table
    size = superblock.inode_size
    inode = read_exactly(read_at, table * superblock.block_size + index * size, size, "journal inode")
    if superblock.metadata_checksums and not _inode_is_right(superblock, inode):
        raise MapUnknown("journal: its inode has a wrong checksum")
    return inode


def _seed(superblock: Superblock, inode: bytes) -> int:
    register = crc32c(superblock.checksum_seed, struct.pack("<I", superblock.journal_inode))
    return crc32c(register, inode[0x64:0x68])       # i_generation


def _inode_is_right(superblock: Superblock, inode: bytes) -> bool:
    stored = struct.unpack_from("<H", inode, 0x7C)[0]
    mask = 0xFFFF
    blank = bytearray(inode)
    blank[0x7C:0x7E] = bytes(2)
    if len(inode) > 128 and struct.unpack_from("<H", inode, 0x80)[0] >= 4:
        stored |= struct.unpack_from("<H", inode, 0x82)[0] << 16
        mask = 0xFFFFFFFF
        blank[0x82:0x84] = bytes(2)
    return crc32c(_seed(superblock, inode), bytes(blank)) & mask == stored


def _journal_blocks(read_at: ReadAt, superblock: Superblock, inode: bytes) -> array:
    """File system block of each journal block. A journal has no holes; that also bounds the walk over a damaged one."""
    low, high = struct.unpack_from("<I", inode, 4)[0], struct.unpack_from("<I", inode, 0x6C)[0]
    count = (low | high << 32) // superblock.block_size
    flags = struct.unpack_from("<I", inode, 0x20)[0]
    if not 0 < count <= min(JOURNAL_MAX_BLOCKS, superblock.blocks) or flags & INODE_INLINE:
        raise MapUnknown("journal: its inode makes no sense")
    root = inode[0x28:0x64]
    runs = _extents(read_at, superblock, _seed(superblock, inode), root, EXTENT_MAX_DEPTH) if flags & INODE_EXTENTS else \
        _indirect(read_at, superblock, root)
    blocks = array("Q")
    for logical, physical, length in runs:
        if logical != len(blocks):
            raise MapUnknown("journal: its inode has holes")
        if not superblock.first_data_block < physical <= superblock.blocks - length:
            raise MapUnknown("journal: its inode points outside of the file system")
        blocks.extend(range(physical, physical + min(length, count - logical)))
        if len(blocks) == count:
            return blocks
    raise MapUnknown("journal: its inode has holes")


def _extents(read_at: ReadAt, superblock: Superblock, seed: int, node: bytes, max_depth: int) -> Iterator[Tuple[int, int, int]]:
    """(logical block, physical block, length) of each extent below a node of the extent tree."""
    magic, entries, room, depth = struct.unpack_from("<4H", node)
    if magic != EXTENT_MAGIC or not 0 < entries <= room or 12 + 12 * room > len(node) or depth > max_depth:
        raise MapUnknown("journal: its extent tree makes no sense")
    for index in range(entries):
        entry = node[12 + 12 * index:24 + 12 * index]
        if depth == 0:
            logical, length, high, low = struct.unpack("<IHHI", entry)
            if not 0 < length <= EXTENT_UNWRITTEN:
                raise MapUnknown("journal: parts of it were never written")
            yield logical, high << 32 | low, length
            continue
        _logical, low, high = struct.unpack_from("<IIH", entry)
        child = read_exactly(read_at, (high << 32 | low) * superblock.block_size, superblock.block_size, "extent block of the journal")
        _verify_extent_block(superblock, seed, child)
        yield from _extents(read_at, superblock, seed, child, depth - 1)


def _verify_extent_block(superblock: Superblock, seed: int, node: bytes) -> None:
    end = 12 + 12 * struct.unpack_from("<H", node, 4)[0]
    if superblock.metadata_checksums and end + 4 <= len(node) and crc32c(seed, node[:end]) != struct.unpack_from("<I", node, end)[0]:
        raise MapUnknown("journal: its extent tree has a wrong checksum")


def _indirect(read_at: ReadAt, superblock: Superblock, root: bytes) -> Iterator[Tuple[int, int, int]]:
    """(logical block, physical block, 1) of each block of a file with the block map of ext2 and ext3."""
    pointers = struct.unpack("<15I", root)
    for logical, block in enumerate(pointers[:DIRECT_BLOCKS]):
        yield logical, block, 1
    logical = DIRECT_BLOCKS
    for depth, block in enumerate(pointers[DIRECT_BLOCKS:], 1):
        yield from _indirect_below(read_at, superblock, block, depth, logical)
        logical += (superblock.block_size // 4) ** depth


def _indirect_below(read_at: ReadAt, superblock: Superblock, block: int, depth: int, logical: int) -> Iterator[Tuple[int, int, int]]:
    if depth == 0:
        yield logical, block, 1
        return
    if not block:
        raise MapUnknown("journal: its inode has holes")
    data = read_exactly(read_at, block * superblock.block_size, superblock.block_size, "block map of the journal")
    pointers = struct.unpack(f"<{superblock.block_size // 4}I", data)
    for index, child in enumerate(pointers):
        yield from _indirect_below(read_at, superblock, child, depth - 1, logical + index * len(pointers) ** (depth - 1))
