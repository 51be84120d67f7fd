# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layout of ext2, ext3 and ext4: superblock, block groups, and where their metadata lies.

Format: kernel Documentation/filesystems/ext4 (super.rst, group_descr.rst, blockgroup.rst, checksums.rst). Little endian.
Block numbers count file system blocks from the start of the partition.
"""

import struct
from functools import lru_cache
from typing import Iterator, List, NamedTuple, Tuple

from .checksum import crc16, crc32c
from .mapread import MapUnknown, ReadAt, read_exactly

SUPERBLOCK_OFFSET = 1024
SUPERBLOCK_SIZE = 1024
MAGIC = 0xEF53

COMPAT_HAS_JOURNAL, COMPAT_SPARSE_SUPER2 = 0x4, 0x200
INCOMPAT_RECOVER, INCOMPAT_META_BG, INCOMPAT_64BIT, INCOMPAT_MMP, INCOMPAT_CSUM_SEED = 0x4, 0x10, 0x80, 0x100, 0x2000
RO_SPARSE_SUPER, RO_GDT_CSUM, RO_BIGALLOC, RO_METADATA_CSUM = 0x1, 0x10, 0x200, 0x400
# filetype recover meta_bg extents 64bit mmp flex_bg ea_inode csum_seed largedir inline_data encrypt casefold
INCOMPAT_KNOWN = 0x2 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000
# sparse_super large_file btree_dir huge_file gdt_csum dir_nlink extra_isize quota bigalloc metadata_csum readonly project verity orphan
RO_KNOWN = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200 | 0x400 | 0x1000 | 0x2000 | 0x8000 | 0x10000
STATE_VALID, STATE_ERROR = 0x1, 0x2

GROUP_INODE_UNINIT, GROUP_BLOCK_UNINIT, GROUP_INODE_ZEROED = 0x1, 0x2, 0x4


class Superblock(NamedTuple):
    block_size: int
    cluster_blocks: int         # blocks that one bit of a block bitmap stands for; more than 1 with bigalloc
    blocks: int
    first_data_block: int
    blocks_per_group: int
    inodes_per_group: int
    inode_size: int
    groups: int
    descriptor_size: int
    first_meta_bg: int
    reserved_gdt_blocks: int
    backup_groups: Tuple[int, int]
    mmp_block: int
    journal_inode: int
    compat: int
    incompat: int
    read_only: int
    state: int
    uuid: bytes
    checksum_seed: int

    @property
    def extent(self) -> int:
        return self.blocks * self.block_size

    @property
    def own_block(self) -> int:
        """Block that holds the primary superblock."""
        return SUPERBLOCK_OFFSET // self.block_size

    @property
    def descriptors_per_block(self) -> int:
        return self.block_size // self.descriptor_size

    @property
    def descriptor_blocks(self) -> int:
        return -(-self.groups // self.descriptors_per_block)

    @property
    def inode_table_blocks(self) -> int:
        return -(-self.inodes_per_group * self.inode_size // self.block_size)

    @property
    def metadata_checksums(self) -> bool:
        return bool(self.read_only & RO_METADATA_CSUM)

    @property
    def group_checksums(self) -> bool:
        """Descriptors carry a checksum; only then their UNINIT flags mean anything."""
        return bool(self.read_only & (RO_METADATA_CSUM | RO_GDT_CSUM))

    def group_start(self, group: int) -> int:
        return self.first_data_block + group * self.blocks_per_group

    def group_blocks(self, group: int) -> int:
        return min(self.blocks_per_group, self.blocks - self.group_start(group))


class Group(NamedTuple):
    block_bitmap: int
    inode_bitmap: int
    inode_table: int
    free_clusters: int
    bitmap_checksum: int
    uninitialised: bool         # the block bitmap is not on disk: only metadata is used


def read_superblock(read_at: ReadAt, size: int) -> Superblock:
    """The primary superblock of the partition of `size` bytes; MapUnknown where it is not one that we can trust."""
    data = read_exactly(read_at, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, "superblock")
    if struct.unpack_from("<H", data, 0x38)[0] != MAGIC:
        raise MapUnknown("no ext superblock")
    revision = struct.unpack_from("<I", data, 0x4C)[0]
    compat, incompat, read_only = struct.unpack_from("<3I", data, 0x5C) if revision else (0, 0, 0)
    if incompat & ~INCOMPAT_KNOWN or read_only & ~RO_KNOWN:
        raise MapUnknown(f"unknown ext features (incompat {incompat & ~INCOMPAT_KNOWN:#x}, ro_compat {read_only & ~RO_KNOWN:#x})")
    if read_only & RO_METADATA_CSUM and crc32c(0xFFFFFFFF, data[:0x3FC]) != struct.unpack_from("<I", data, 0x3FC)[0]:
        raise MapUnknown("the superblock has a wrong checksum")
    superblock = _parse(data, revision, compat, incompat, read_only)
    _validate(superblock, struct.unpack_from("<I", data, 0)[0], size)
    return superblock


def _parse(data: bytes, revision: int, compat: int, incompat: int, read_only: int) -> Superblock:
    def u16(offset):
        return struct.unpack_from("<H", data, offset)[0]

    def u32(offset):
        return struct.unpack_from("<I", data, offset)[0]

    log_block, log_cluster = u32(0x18), u32(0x1C)
    if log_block > 6 or (read_only & RO_BIGALLOC and not log_block <= log_cluster <= log_block + 20):
        raise MapUnknown("the superblock's block size makes no sense")
    wide = bool(incompat & INCOMPAT_64BIT)
    descriptor_size = u16(0xFE) if wide else 32
    blocks_per_group, first_data_block = u32(0x20), u32(0x14)
    blocks = u32(0x4) | (u32(0x150) << 32 if wide else 0)
    if not blocks_per_group or blocks <= first_data_block or descriptor_size not in (32, 64, 128, 256, 512, 1024):
        raise MapUnknown("the superblock's sizes make no sense")
    cluster_blocks = 1 << (log_cluster - log_block) if read_only & RO_BIGALLOC else 1
    if cluster_blocks > 1 and u32(0x24) * cluster_blocks != blocks_per_group:
        raise MapUnknown("the superblock's cluster sizes make no sense")
    uuid = data[0x68:0x78]
    return Superblock(
        block_size=1024 << log_block, cluster_blocks=cluster_blocks, blocks=blocks, first_data_block=first_data_block,
        blocks_per_group=blocks_per_group, inodes_per_group=u32(0x28), inode_size=u16(0x58) if revision else 128,
        groups=-(-(blocks - first_data_block) // blocks_per_group), descriptor_size=descriptor_size,
        first_meta_bg=u32(0x104), reserved_gdt_blocks=u16(0xCE), backup_groups=struct.unpack_from("<2I", data, 0x24C),
        mmp_block=struct.unpack_from("<Q", data, 0x168)[0] if incompat & INCOMPAT_MMP else 0, journal_inode=u32(0xE0),
        compat=compat, incompat=incompat, read_only=read_only, state=u16(0x3A), uuid=uuid,
        checksum_seed=u32(0x270) if incompat & INCOMPAT_CSUM_SEED else crc32c(0xFFFFFFFF, uuid))


def _validate(superblock: Superblock, inodes: int, size: int) -> None:
    """Bounds that everything later relies on, so that damaged numbers cannot cost unbounded time or memory."""
    bits = 8 * superblock.block_size
    sane = (
        superblock.extent <= size
        and superblock.first_data_block <= 1
        and superblock.blocks_per_group % (8 * superblock.cluster_blocks) == 0
        and 64 <= superblock.blocks_per_group // superblock.cluster_blocks <= bits
        and 0 < superblock.inodes_per_group <= bits
        and inodes == superblock.inodes_per_group * superblock.groups
        and superblock.inode_size in (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
        and superblock.inode_size <= superblock.block_size
        and superblock.reserved_gdt_blocks <= superblock.block_size // 4
        and superblock.group_start(0) + superblock.descriptor_blocks < superblock.blocks
        and superblock.mmp_block < superblock.blocks)
    if not sane:
        raise MapUnknown("the superblock's sizes make no sense, or the file system is larger than its partition")


def descriptor_block(superblock: Superblock, index: int) -> int:
    """Where block `index` of the primary group descriptor table is."""
    if not superblock.incompat & INCOMPAT_META_BG or index < superblock.first_meta_bg:
        return superblock.own_block + 1 + index
    group = index * superblock.descriptors_per_block
    return _group_anchor(superblock, group) + (1 if has_superblock(superblock, group) else 0)


def _group_anchor(superblock: Superblock, group: int) -> int:
    """First block of a group's own metadata; in a group 0 that begins below the superblock (1 KiB blocks, bigalloc) that is block 1."""
    return max(superblock.group_start(group), superblock.own_block) if group == 0 else superblock.group_start(group)


def has_superblock(superblock: Superblock, group: int) -> bool:
    """Whether the group begins with a copy of the superblock."""
    if group == 0:
        return True
    if superblock.compat & COMPAT_SPARSE_SUPER2:
        return group in superblock.backup_groups
    if not superblock.read_only & RO_SPARSE_SUPER or group == 1:
        return True
    return any(_is_power(group, base) for base in (3, 5, 7))


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1


def parse_groups(superblock: Superblock, table: bytes, verify: bool) -> List[Group]:
    """The descriptors of all groups. verify: MapUnknown where a descriptor's checksum is wrong."""
    size = superblock.descriptor_size
    groups = []
    for number in range(superblock.groups):
        descriptor = table[number * size:(number + 1) * size]
        if verify and superblock.group_checksums:
            _verify_descriptor(superblock, number, descriptor)
        group = _parse_group(superblock, descriptor)
        if not (superblock.first_data_block <= min(group[:3]) and max(group[0], group[1]) < superblock.blocks
                and group.inode_table + superblock.inode_table_blocks <= superblock.blocks):
            raise MapUnknown(f"the descriptor of block group {number} points outside of the file system")
        groups.append(group)
    return groups


def _parse_group(superblock: Superblock, descriptor: bytes) -> Group:
    bitmap, inode_bitmap, inode_table, free, _free_inodes, _dirs, flags, _exclude, checksum = struct.unpack_from("<3I4HIH", descriptor)
    if superblock.descriptor_size >= 64:
        high = struct.unpack_from("<3IH", descriptor, 0x20)
        bitmap, inode_bitmap, inode_table = bitmap | high[0] << 32, inode_bitmap | high[1] << 32, inode_table | high[2] << 32
        free |= high[3] << 16
        checksum |= struct.unpack_from("<H", descriptor, 0x38)[0] << 16
    return Group(bitmap, inode_bitmap, inode_table, free, checksum, bool(flags & GROUP_BLOCK_UNINIT) and superblock.group_checksums)


class InodeUse(NamedTuple):
    """What a group's descriptor says of its inodes."""
    bitmap: int                 # block
    used: int                   # those behind were never used
    zeroed: bool                # the table is zero where it was never used


def inode_use(superblock: Superblock, table: bytes, number: int) -> InodeUse:
    """Of group `number`, from the table of all descriptors."""
    start = number * superblock.descriptor_size
    bitmap = struct.unpack_from("<I", table, start + 4)[0]
    flags, unused = struct.unpack_from("<H", table, start + 0x12)[0], struct.unpack_from("<H", table, start + 0x1C)[0]
    if superblock.descriptor_size >= 64:
        bitmap |= struct.unpack_from("<I", table, start + 0x24)[0] << 32
        unused |= struct.unpack_from("<H", table, start + 0x32)[0] << 16
    if not superblock.group_checksums:
        return InodeUse(bitmap, superblock.inodes_per_group, False)
    used = 0 if flags & GROUP_INODE_UNINIT else max(0, superblock.inodes_per_group - unused)
    return InodeUse(bitmap, used, bool(flags & GROUP_INODE_ZEROED))


def _verify_descriptor(superblock: Superblock, number: int, descriptor: bytes) -> None:
    stored = struct.unpack_from("<H", descriptor, 0x1E)[0]
    identity = struct.pack("<I", number)
    if superblock.metadata_checksums:
        register = crc32c(superblock.checksum_seed, identity)
        computed = crc32c(register, descriptor[:0x1E] + bytes(2) + descriptor[0x20:]) & 0xFFFF
    else:
        register = crc16(crc16(crc16(0xFFFF, superblock.uuid), identity), descriptor[:0x1E])
        computed = crc16(register, descriptor[0x20:])
    if computed != stored:
        raise MapUnknown(f"the descriptor of block group {number} has a wrong checksum")


def bitmap_is_right(superblock: Superblock, group: Group, bitmap: bytes) -> bool:
    """Whether the block bitmap matches the checksum in its descriptor; True where the file system has none."""
    if not superblock.metadata_checksums:
        return True
    mask = 0xFFFFFFFF if superblock.descriptor_size >= 64 else 0xFFFF
    length = superblock.blocks_per_group // superblock.cluster_blocks // 8
    return _bitmap_checksum(superblock.checksum_seed, bitmap[:length]) & mask == group.bitmap_checksum & mask


@lru_cache(maxsize=32)
def _bitmap_checksum(seed: int, bitmap: bytes) -> int:
    """Cached, since most groups of a large file system are entirely used or entirely free."""
    return crc32c(seed, bitmap)


def metadata_blocks(superblock: Superblock, groups: List[Group]) -> Iterator[Tuple[int, int]]:
    """[first, end) of all fixed metadata: boot block, superblocks, descriptor tables, bitmaps, inode tables; in no order."""
    yield 0, superblock.own_block + 1
    if superblock.mmp_block:
        yield superblock.mmp_block, superblock.mmp_block + 1
    for index in range(superblock.descriptor_blocks):
        block = descriptor_block(superblock, index)
        yield block, block + 1
    for number, group in enumerate(groups):
        yield from _group_head(superblock, number)
        yield group.block_bitmap, group.block_bitmap + 1
        yield group.inode_bitmap, group.inode_bitmap + 1
        yield group.inode_table, group.inode_table + superblock.inode_table_blocks


def _group_head(superblock: Superblock, number: int) -> Iterator[Tuple[int, int]]:
    """Superblock copy, descriptor table copy and reserved descriptor blocks at the begin of a group."""
    start = _group_anchor(superblock, number)
    copy = 1 if has_superblock(superblock, number) else 0
    meta_bg = bool(superblock.incompat & INCOMPAT_META_BG)
    per_block = superblock.descriptors_per_block
    if meta_bg and number // per_block >= superblock.first_meta_bg:
        table = 1 if number % per_block in (0, 1, per_block - 1) else 0
    elif copy:
        table = (superblock.first_meta_bg if meta_bg else superblock.descriptor_blocks) + superblock.reserved_gdt_blocks
    else:
        table = 0
    if copy + table:
        yield start, min(start + copy + table, superblock.blocks)
