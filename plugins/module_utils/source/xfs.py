# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Used-block map of XFS, versions 4 and 5, from the free-space trees of its allocation groups.

What no by-block-number free-space tree (bnobt) names is used: that covers the trees' own blocks, the free list (AGFL) and the internal log.
Format: "XFS Algorithms & Data Structures" (xfs.org), kernel fs/xfs/libxfs/xfs_format.h. Big endian, checksums little endian.
"""

import struct
from typing import Dict, Iterator, NamedTuple, Set, Tuple

from .checksum import crc32c
from .mapread import MapUnknown, ReadAt, read_exactly
from .ranges import Ranges, RangesBuilder
from .xfslog import log_is_clean

MAGIC = b"XFSB"
AGF_MAGIC = b"XAGF"
SHORT_HEADER = {4: 16, 5: 56}         # bytes of the header of a tree block within an allocation group
VERSION_LAZY_COUNT = 0x2            # in features2
VERSION_MORE_BITS = 0x8000
# finobt rmapbt reflink inobtcount; ftype spinodes meta_uuid bigtime nrext64 exchange parent (not: needsrepair, metadir, zoned)
RO_COMPAT_KNOWN = 0x1 | 0x2 | 0x4 | 0x8
INCOMPAT_KNOWN = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80
INCOMPAT_META_UUID, INCOMPAT_NEEDS_REPAIR = 0x4, 0x10


class Superblock(NamedTuple):
    version: int
    block_size: int
    sector_size: int
    blocks: int          # of the data device
    group_blocks: int
    groups: int
    block_log: int       # bits of a block number within its group
    log_start: int       # file system block number: group << block_log | block
    log_blocks: int
    free_blocks: int
    lazy_counters: bool
    uuid: bytes          # as the log has it
    meta_uuid: bytes     # as metadata blocks have it

    def offset(self, group: int, block: int) -> int:
        """Byte offset of a block of a group."""
        return (group * self.group_blocks + block) * self.block_size

    def length_of(self, group: int) -> int:
        """Blocks of a group; the last may be shorter."""
        return min(self.group_blocks, self.blocks - group * self.group_blocks)


class ShortTree(NamedTuple):
    """A kind of tree whose blocks lie within one allocation group."""
    name: str
    magic: Dict[int, bytes]      # by version of the file system
    key: int                     # bytes
    record: int                  # bytes


FREE_SPACE_TREE = ShortTree("free-space tree", {4: b"ABTB", 5: b"AB3B"}, 8, 8)


class FreeSpace(NamedTuple):
    """Header of an allocation group's free space (AGF)."""
    root: int
    levels: int
    free_blocks: int
    list_blocks: int     # on the AGFL
    tree_blocks: int     # in the free-space (and reverse-mapping) trees, roots not counted


def used(read_at: ReadAt, size: int, frozen: bool) -> Tuple[Ranges, str]:
    """Used bytes of the partition of `size` bytes, and how they were found; MapUnknown where that cannot be told for certain.

    frozen: the file system was mounted and frozen when read. Its log never looks clean then, yet its trees are complete.
    """
    superblock = read_superblock(read_at, size)
    clean = log_is_clean(read_at, superblock.offset(*split(superblock, superblock.log_start)),
                         superblock.log_blocks * superblock.block_size, superblock.uuid)
    if not clean and not frozen:
        raise MapUnknown("its log is not clean: mounted, or not unmounted cleanly")
    builder = RangesBuilder()
    free = 0
    for group in range(superblock.groups):
        header = _read_free_space(read_at, superblock, group)
        position = 0
        counted = 0
        for start, count in _free_extents(read_at, superblock, group, header):
            if start < position or count == 0 or start + count > superblock.length_of(group):
                raise MapUnknown(f"the free-space tree of allocation group {group} is damaged")
            builder.add(superblock.offset(group, position), superblock.offset(group, start))
            position = start + count
            counted += count
        if counted != header.free_blocks:
            raise MapUnknown(f"allocation group {group} counts {header.free_blocks} free blocks, its tree has {counted}")
        builder.add(superblock.offset(group, position), superblock.offset(group, superblock.length_of(group)))
        free += counted + header.list_blocks + header.tree_blocks
    if clean and superblock.lazy_counters and free != superblock.free_blocks:
        raise MapUnknown(f"the superblock counts {superblock.free_blocks} free blocks, the allocation groups have {free}")
    builder.add(superblock.blocks * superblock.block_size, size)
    return builder.ranges(), "xfs free-space trees, " + ("clean log" if clean else "frozen")


def used_while_running(read_at: ReadAt, size: int) -> Ranges:
    """About what is used while the file system is mounted and in use: to begin with, no evidence. MapUnknown.

    A group whose tree is being changed counts as used.
    """
    superblock = read_superblock(read_at, size)
    used_ranges = Ranges.whole(size)
    for group in range(superblock.groups):
        try:
            free = list(_free_extents(read_at, superblock, group, _read_free_space(read_at, superblock, group)))
        except MapUnknown:
            continue
        used_ranges = used_ranges.minus(Ranges((superblock.offset(group, start), superblock.offset(group, start + count))
                                               for start, count in free))
    return used_ranges


def split(superblock: Superblock, block: int) -> Tuple[int, int]:
    """Group, and block within it, of a file system block number."""
    return block >> superblock.block_log, block & ((1 << superblock.block_log) - 1)


def read_superblock(read_at: ReadAt, size: int) -> Superblock:
    """The primary superblock of the partition of `size` bytes; MapUnknown where it is not one that we can trust."""
    head = read_exactly(read_at, 0, 512, "superblock")
    sector_size = struct.unpack_from(">H", head, 102)[0]
    if head[:4] != MAGIC or sector_size not in (512, 1024, 2048, 4096, 8192, 16384, 32768):
        raise MapUnknown("no xfs superblock")
    data = read_exactly(read_at, 0, sector_size, "superblock")
    version_bits = struct.unpack_from(">H", data, 100)[0]
    version = version_bits & 0xF
    if version not in (4, 5):
        raise MapUnknown(f"xfs version {version} is not known")
    features2 = struct.unpack_from(">I", data, 200)[0] if version_bits & VERSION_MORE_BITS or version == 5 else 0
    if version == 5:
        _check_version_5(data)
    if data[126]:
        raise MapUnknown("it was never made completely (mkfs or xfs_copy in progress)")
    if struct.unpack_from(">QQ", data, 16) != (0, 0):
        raise MapUnknown("it has a realtime device")
    superblock = _parse(data, version, sector_size, features2)
    _validate(superblock, size)
    return superblock


def _check_version_5(data: bytes) -> None:
    read_only, incompat, _log_incompat = struct.unpack_from(">3I", data, 212)
    if incompat & INCOMPAT_NEEDS_REPAIR:
        raise MapUnknown("it asks for a repair")
    if read_only & ~RO_COMPAT_KNOWN or incompat & ~INCOMPAT_KNOWN:
        raise MapUnknown(f"unknown xfs features (ro_compat {read_only & ~RO_COMPAT_KNOWN:#x}, incompat {incompat & ~INCOMPAT_KNOWN:#x})")
    if not checksum_is_right(data, 224):
        raise MapUnknown("the superblock has a wrong checksum")


def _parse(data: bytes, version: int, sector_size: int, features2: int) -> Superblock:
    block_size, blocks = struct.unpack_from(">IQ", data, 4)
    log_start = struct.unpack_from(">Q", data, 48)[0]
    group_blocks, groups, _bitmap_blocks, log_blocks = struct.unpack_from(">4I", data, 84)
    uuid = data[32:48]
    own_meta_uuid = version == 5 and struct.unpack_from(">I", data, 216)[0] & INCOMPAT_META_UUID
    return Superblock(version, block_size, sector_size, blocks, group_blocks, groups, data[124], log_start, log_blocks,
                      struct.unpack_from(">Q", data, 144)[0], version == 5 or bool(features2 & VERSION_LAZY_COUNT),
                      uuid, data[248:264] if own_meta_uuid else uuid)


def _validate(superblock: Superblock, size: int) -> None:
    """Bounds that everything later relies on, so that damaged numbers cannot cost unbounded time or memory."""
    if not superblock.log_start:
        raise MapUnknown("its log is on another device")
    sane = (
        superblock.block_size in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
        and superblock.sector_size <= superblock.block_size
        and superblock.blocks * superblock.block_size <= size
        and 64 <= superblock.group_blocks <= 1 << superblock.block_log <= 1 << 31
        and superblock.group_blocks * (superblock.groups - 1) < superblock.blocks <= superblock.group_blocks * superblock.groups)
    if sane:
        group, block = split(superblock, superblock.log_start)
        sane = group < superblock.groups and 0 < superblock.log_blocks and block + superblock.log_blocks <= superblock.length_of(group)
    if not sane:
        raise MapUnknown("the superblock's sizes make no sense, or the file system is larger than its partition")


def _read_free_space(read_at: ReadAt, superblock: Superblock, group: int) -> FreeSpace:
    offset = superblock.offset(group, 0) + superblock.sector_size
    data = read_exactly(read_at, offset, superblock.sector_size, "AGF")
    magic, version, number, length, root = struct.unpack_from(">4s4I", data)
    levels = struct.unpack_from(">I", data, 28)[0]
    list_blocks, free_blocks, _longest, tree_blocks = struct.unpack_from(">4I", data, 48)
    if magic != AGF_MAGIC or version != 1 or number != group or length != superblock.length_of(group):
        raise MapUnknown(f"the free-space header of allocation group {group} is damaged")
    if superblock.version == 5 and (data[64:80] != superblock.meta_uuid or not checksum_is_right(data, 216)):
        raise MapUnknown(f"the free-space header of allocation group {group} has a wrong checksum")
    return FreeSpace(root, levels, free_blocks, list_blocks, tree_blocks if superblock.lazy_counters else 0)


def _free_extents(read_at: ReadAt, superblock: Superblock, group: int, header: FreeSpace) -> Iterator[Tuple[int, int]]:
    """(first block, blocks) of each free extent of the group, as its tree has them in order."""
    for records in short_tree_leaves(read_at, superblock, FREE_SPACE_TREE, group, header.root, header.levels):
        yield from struct.iter_unpack(">2I", records)


def short_tree_leaves(read_at: ReadAt, superblock: Superblock, tree: ShortTree, group: int, root: int, levels: int) -> Iterator[bytes]:
    """The records of each leaf of a tree of a group, in order."""
    if not 0 < levels <= 16:
        raise MapUnknown(f"the {tree.name} of allocation group {group} is damaged")
    seen: Set[int] = set()
    yield from _walk(read_at, superblock, tree, group, root, levels - 1, seen)


def _walk(read_at: ReadAt, superblock: Superblock, tree: ShortTree, group: int, block: int, level: int, seen: Set[int]) -> Iterator[bytes]:
    if block in seen or not 0 < block < superblock.length_of(group):
        raise MapUnknown(f"the {tree.name} of allocation group {group} is damaged")
    seen.add(block)
    data = _read_node(read_at, superblock, tree, group, block, level)
    header = SHORT_HEADER[superblock.version]
    records = struct.unpack_from(">H", data, 6)[0]
    room = (superblock.block_size - header) // (tree.record if level == 0 else tree.key + 4)
    if records > room:
        raise MapUnknown(f"the {tree.name} of allocation group {group} is damaged")
    if level == 0:
        yield data[header:header + tree.record * records]
        return
    for child in struct.unpack_from(f">{records}I", data, header + tree.key * room):
        yield from _walk(read_at, superblock, tree, group, child, level - 1, seen)


def _read_node(read_at: ReadAt, superblock: Superblock, tree: ShortTree, group: int, block: int, level: int) -> bytes:
    offset = superblock.offset(group, block)
    data = read_exactly(read_at, offset, superblock.block_size, tree.name)
    right = data[:4] == tree.magic[superblock.version] and struct.unpack_from(">H", data, 4)[0] == level
    if right and superblock.version == 5:
        address, owner = struct.unpack_from(">Q", data, 16)[0], struct.unpack_from(">I", data, 48)[0]
        right = (address * 512 == offset and owner == group and data[32:48] == superblock.meta_uuid and checksum_is_right(data, 52))
    if not right:
        raise MapUnknown(f"the {tree.name} of allocation group {group} is damaged at block {block}")
    return data


def checksum_is_right(data: bytes, position: int) -> bool:
    """CRC-32C over the block with the checksum's own field zero; stored inverted and little endian."""
    computed = crc32c(0xFFFFFFFF, data[:position] + bytes(4) + data[position + 4:]) ^ 0xFFFFFFFF
    return computed == struct.unpack_from("<I", data, position)[0]
