# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small file systems written field by field, for tests without mkfs."""

import struct

from ansible_collections.agnostic.recovery.plugins.module_utils.source.checksum import crc32_be, crc32c
from ansible_collections.agnostic.recovery.plugins.module_utils.source.ranges import Ranges

ONES = 0xFFFFFFFF
UUID = bytes(range(16))


def reader(image):
    """read_at over bytes."""
    return lambda offset, length: bytes(image[offset:offset + length])


class Ext:
    """16 MiB of ext4: 1 KiB blocks, two block groups, metadata_csum, flex_bg, a journal of 1,024 blocks.

    Blocks 1: superblock, 2: descriptors, 3-4: block bitmaps, 5-6: inode bitmaps, 7-22 and 23-38: inode tables, 100-1123: journal;
    8193 and 8194: copies of superblock and descriptors.
    """
    BLOCK, BLOCKS, PER_GROUP, INODES = 1024, 16384, 8192, 128
    JOURNAL, JOURNAL_BLOCKS = 100, 1024
    METADATA = [(1, 39), (100, 1124), (8193, 8195)]

    def __init__(self, used=((5000, 5010), (9000, 9001)), incompat=0x242, read_only=0x401, state=1, compat=0x4, uninit=False):
        self.image = bytearray(self.BLOCK * self.BLOCKS)
        self.seed = crc32c(ONES, UUID)
        self.superblock(incompat, read_only, state, compat)
        self.bitmaps = self.bitmaps_for(used)
        self.put(3, self.bitmaps[0])
        self.put(4, self.bitmaps[1])
        self.put(2, self.descriptors(self.bitmaps, uninit))
        self.journal_inode()

    def put(self, block, data):
        self.image[block * self.BLOCK:block * self.BLOCK + len(data)] = data

    def superblock(self, incompat, read_only, state, compat):
        data = bytearray(1024)
        struct.pack_into("<I", data, 0, self.INODES * 2)
        struct.pack_into("<I", data, 4, self.BLOCKS)
        struct.pack_into("<3I", data, 0x14, 1, 0, 0)
        struct.pack_into("<3I", data, 0x20, self.PER_GROUP, self.PER_GROUP, self.INODES)
        struct.pack_into("<HH", data, 0x38, 0xEF53, state)
        struct.pack_into("<I", data, 0x4C, 1)
        struct.pack_into("<IH", data, 0x54, 11, 128)
        struct.pack_into("<3I", data, 0x5C, compat, incompat, read_only)
        data[0x68:0x78] = UUID
        struct.pack_into("<I", data, 0xE0, 8)
        self.put(1, self.sealed(data))

    def sealed(self, data):
        struct.pack_into("<I", data, 0x3FC, crc32c(ONES, bytes(data[:0x3FC])))
        return data

    def change_superblock(self, offset, code, value):
        """Write a field and make the checksum right again."""
        data = self.image[1024:2048]
        struct.pack_into(code, data, offset, value)
        self.put(1, self.sealed(data))

    def bitmaps_for(self, used):
        bits = [bytearray(1024), bytearray(1024)]
        for first, end in list(used) + self.METADATA:
            for block in range(first, end):
                group, bit = divmod(block - 1, self.PER_GROUP)
                bits[group][bit // 8] |= 1 << bit % 8
        bits[1][-1] |= 0x80         # there is no block 16384
        return [bytes(bitmap) for bitmap in bits]

    def descriptors(self, bitmaps, uninit=False):
        data = bytearray(1024)
        for group, bitmap in enumerate(bitmaps):
            free = sum(8 - bin(value).count("1") for value in bitmap)
            checksum = crc32c(self.seed, bitmap) & 0xFFFF
            flags = 2 if uninit and group else 0
            row = bytearray(struct.pack("<3I4HI4H", 3 + group, 5 + group, 7 + 16 * group, free, 0, 0, flags, 0, checksum, 0, 0, 0))
            struct.pack_into("<H", row, 0x1E, crc32c(crc32c(self.seed, struct.pack("<I", group)), bytes(row)) & 0xFFFF)
            data[32 * group:32 * group + 32] = row
        return data

    def journal_inode(self):
        inode = bytearray(128)
        struct.pack_into("<I", inode, 4, self.JOURNAL_BLOCKS * self.BLOCK)
        struct.pack_into("<I", inode, 0x20, 0x80000)
        struct.pack_into("<4HI", inode, 0x28, 0xF30A, 1, 4, 0, 0)
        struct.pack_into("<IHHI", inode, 0x34, 0, self.JOURNAL_BLOCKS, 0, self.JOURNAL)
        seed = crc32c(crc32c(self.seed, struct.pack("<I", 8)), bytes(inode[0x64:0x68]))
        struct.pack_into("<H", inode, 0x7C, crc32c(seed, bytes(inode)) & 0xFFFF)
        offset = 7 * self.BLOCK + 7 * 128
        self.image[offset:offset + 128] = inode

    def journal(self, log):
        for number, block in enumerate(log.blocks):
            self.put(self.JOURNAL + number, block)

    def expected(self, *used):
        """The pairs of bytes that a map must have for these used blocks."""
        return Ranges((first * self.BLOCK, end * self.BLOCK) for first, end in list(used) + self.METADATA + [(0, 1)])


class Log:
    """A jbd2 journal of 1 KiB blocks under construction. checksum: 0, 1, 2 or 3."""

    def __init__(self, checksum=3, wide=True, length=1024, start=1, sequence=7, incompat=0, errno=0, fast_blocks=0):
        self.checksum, self.wide, self.length, self.sequence = checksum, wide, length, sequence
        self.seed = crc32c(ONES, UUID)
        self.blocks = [bytes(1024)] * length
        self.last = length - fast_blocks
        self.position = start
        incompat |= 1 | (2 if wide else 0) | {0: 0, 1: 0, 2: 8, 3: 16}[checksum] | (32 if fast_blocks else 0)
        data = bytearray(struct.pack(">9I", 0xC03B3998, 4, 0, 1024, length, 1, sequence, start, errno).ljust(1024, b"\0"))
        struct.pack_into(">3I", data, 36, 1 if checksum == 1 else 0, incompat, 0)
        data[48:64] = UUID
        data[80] = 4 if checksum > 1 else 0
        struct.pack_into(">I", data, 84, fast_blocks)
        if checksum > 1:
            struct.pack_into(">I", data, 0xFC, crc32c(ONES, bytes(data)))
        self.blocks[0] = bytes(data)
        self.sum = ONES

    def read_block(self, number):
        return self.blocks[number]

    def write(self, data):
        self.blocks[self.position] = bytes(data)
        self.position = 1 if self.position + 1 == self.last else self.position + 1

    def header(self, kind):
        return struct.pack(">3I", 0xC03B3998, kind, self.sequence)

    def with_tail(self, data):
        data = bytearray(data.ljust(1024, b"\0"))
        if self.checksum > 1:
            struct.pack_into(">I", data, 1020, crc32c(self.seed, bytes(data)))
        return bytes(data)

    def descriptor(self, blocks):
        """blocks: list of (file system block, content)."""
        rows, stored = b"", []
        for index, (block, content) in enumerate(blocks):
            flags = (2 if index else 0) | (8 if index == len(blocks) - 1 else 0)
            if content[:4] == b"\xc0\x3b\x39\x98":
                flags, content = flags | 1, bytes(4) + content[4:]
            own = crc32c(crc32c(self.seed, struct.pack(">I", self.sequence)), content)
            if self.checksum == 3:
                rows += struct.pack(">4I", block & ONES, flags, block >> 32, own)
            else:
                rows += struct.pack(">IHH", block & ONES, own & 0xFFFF if self.checksum == 2 else 0, flags)
                rows += struct.pack(">I", block >> 32) if self.wide else b""
                rows += bytes(2) if self.checksum == 2 else b""
            rows += b"" if index else UUID
            stored.append(content)
        data = self.with_tail(self.header(1) + rows)
        for block in [data] + stored:
            self.sum = crc32_be(self.sum, block)
            self.write(block)

    def revoke(self, *blocks):
        width = 8 if self.wide else 4
        rows = b"".join(struct.pack(">Q" if self.wide else ">I", block) for block in blocks)
        self.write(self.with_tail(self.header(5) + struct.pack(">I", 16 + width * len(blocks)) + rows))

    def commit(self, damage=0):
        data = bytearray(self.header(2).ljust(1024, b"\0"))
        if self.checksum == 1:
            data[12:14] = b"\x01\x04"
            struct.pack_into(">I", data, 16, self.sum ^ damage)
        elif self.checksum > 1:
            struct.pack_into(">I", data, 16, crc32c(self.seed, bytes(data)) ^ damage)
        self.write(data)
        self.sum = ONES
        self.sequence += 1


class Xfs:
    """8 MiB of XFS: 4 KiB blocks, two groups of 1,024 blocks, a log of 64 blocks at block 100 of group 1."""
    BLOCK, GROUP, LOG, LOG_BLOCKS = 4096, 1024, 100, 64

    def __init__(self, free=(((50, 10), (200, 800)), ((300, 1), (400, 600))), version=5, dirty=False, cycle=1, position=0, levels=1):
        self.version = version
        self.image = bytearray(self.BLOCK * self.GROUP * 2)
        total = 0
        for group, extents in enumerate(free):
            count = sum(length for _start, length in extents)
            self.header(group, count, levels)
            self.tree(group, extents, levels)
            total += count + 4 + levels - 1
        self.superblock(total)
        self.log(cycle, position, dirty)

    def checksummed(self, data, position):
        if self.version == 5:
            struct.pack_into("<I", data, position, crc32c(ONES, bytes(data)) ^ ONES)
        return data

    def superblock(self, free):
        data = bytearray(512)
        struct.pack_into(">4sIQ", data, 0, b"XFSB", self.BLOCK, self.GROUP * 2)
        data[32:48] = UUID
        struct.pack_into(">Q", data, 48, 1 << 10 | self.LOG)
        struct.pack_into(">4IHH", data, 84, self.GROUP, 2, 0, self.LOG_BLOCKS, 0xB080 | self.version, 512)
        data[124] = 10
        struct.pack_into(">Q", data, 144, free)
        struct.pack_into(">I", data, 200, 0x18A)
        self.image[:512] = self.checksummed(data, 224)

    def change_superblock(self, offset, code, value):
        data = self.image[:512]
        struct.pack_into(code, data, offset, value)
        data[224:228] = bytes(4)
        self.image[:512] = self.checksummed(data, 224)

    def header(self, group, free, levels):
        data = bytearray(512)
        struct.pack_into(">4s10I", data, 0, b"XAGF", 1, group, self.GROUP, 1, 2, 0, levels, 1, 0, 0)
        struct.pack_into(">4I", data, 48, 4, free, 0, levels - 1)
        data[64:80] = UUID
        offset = group * self.GROUP * self.BLOCK + 512
        self.image[offset:offset + 512] = self.checksummed(data, 216)

    def tree(self, group, extents, levels):
        if levels == 1:
            self.node(group, 1, 0, b"".join(struct.pack(">2I", *extent) for extent in extents), len(extents))
            return
        room = (self.BLOCK - (56 if self.version == 5 else 16)) // 12
        keys = b"".join(struct.pack(">2I", *extent) for extent in extents)
        pointers = b"".join(struct.pack(">I", 10 + index) for index in range(len(extents)))
        self.node(group, 1, 1, keys.ljust(8 * room, b"\0") + pointers, len(extents))
        for index, extent in enumerate(extents):
            self.node(group, 10 + index, 0, struct.pack(">2I", *extent), 1)

    def node(self, group, block, level, body, records):
        offset = (group * self.GROUP + block) * self.BLOCK
        data = bytearray(struct.pack(">4sHH", b"AB3B" if self.version == 5 else b"ABTB", level, records) + b"\xff" * 8)
        if self.version == 5:
            data += struct.pack(">QQ", offset // 512, 0) + UUID + struct.pack(">II", group, 0)
        data = bytearray((data + body).ljust(self.BLOCK, b"\0"))
        self.image[offset:offset + self.BLOCK] = self.checksummed(data, 52)

    def log(self, cycle, position, dirty):
        """A log whose last record, at basic block `position`, is an unmount record, or with `dirty` is not."""
        start = (self.GROUP + self.LOG) * self.BLOCK
        for block in range(self.LOG_BLOCKS * self.BLOCK // 512):
            struct.pack_into(">I", self.image, start + block * 512, cycle if block < position + 2 else cycle - 1)
        record = bytearray(512)
        struct.pack_into(">6I", record, 0, 0xFEEDBABE, cycle, 2, 512, cycle, position)
        struct.pack_into(">I", record, 40, 1)
        record[304:320] = UUID
        struct.pack_into(">I", record, 320, 32768)
        offset = start + position * 512
        self.image[offset:offset + 512] = record
        self.image[offset + 512 + 9] = 0 if dirty else 0x20


def fat_image(width, clusters, used, dirty=False):
    """A FAT volume with 512-byte clusters, the given used entries {cluster: value}, two tables."""
    table = -(-(clusters + 2) * width // 8 // 512) + 1
    reserved, root = 32, 0 if width == 32 else 512
    data_start = (reserved + 2 * table) * 512 + root * 32
    size = data_start + clusters * 512
    boot = bytearray(512)
    struct.pack_into("<HBHBHHBH", boot, 11, 512, 1, reserved, 2, root, 0, 0xF8, 0 if width == 32 else table)
    struct.pack_into("<II", boot, 32, size // 512, table if width == 32 else 0)
    clean = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}[width]
    if dirty:
        clean &= {12: 0xFFF, 16: 0x7FFF, 32: 0x07FFFFFF}[width]
    value = 0
    for cluster, entry in used.items():
        value |= entry << cluster * width
    value |= {12: 0xFF8, 16: 0xFFF8, 32: 0x0FFFFFF8}[width] | clean << width
    fat = value.to_bytes(table * 512, "little")
    image = bytes(boot).ljust(reserved * 512, b"\0") + fat + fat
    return image.ljust(size, b"\0"), data_start
