# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A btrfs written field by field, for tests without mkfs."""

import struct

from ansible_collections.agnostic.recovery.plugins.module_utils.source.checksum import crc32c

MIB = 1 << 20
NODE = 4096
FSID, CHUNK_TREE_UUID = bytes(range(16)), bytes(16)
SINGLE, RAID0, RAID1 = 0, 0x8, 0x10
SYSTEM_AT, METADATA_AT, DATA_AT = MIB, 16 * MIB, 32 * MIB       # logical


class Btrfs:
    """Devices of 8 MiB: system chunk at 1 MiB, metadata chunk at 2 MiB (both on the first), data chunk at 4 MiB; each 1 MiB of a device.

    Tree blocks: chunk tree at SYSTEM_AT; at METADATA_AT root tree, root of the extent tree, its two leaves, block group tree.
    data: ((first, bytes), ...) extents in the data chunk, made in transaction 5 or as a third value says. summed: ((first, bytes), ...) of the
    data chunk with checksums; with them there is a checksum tree, the last of the tree blocks.
    """
    SIZE = 8 * MIB
    TREE_BLOCKS = 4

    def __init__(self, data=((0, 8192), (64 << 10, 4096)), devices=1, profile=SINGLE, log_root=0, levels=2, group_tree=False,
                 incompat=0x341, generation=9, totals=None, summed=None):
        self.images = [bytearray(self.SIZE) for _device in range(devices)]
        self.generation = generation
        self.chunks = {SYSTEM_AT: self.chunk(MIB, 2, ((1, MIB),)), METADATA_AT: self.chunk(MIB, 4, ((1, 2 * MIB),))}
        columns = devices if profile == RAID0 else 1
        self.data_length = MIB * columns
        self.chunks[DATA_AT] = self.chunk(self.data_length, 1 | profile, tuple((number + 1, 4 * MIB) for number in range(devices)))
        self.levels = levels
        self.trees([(*extent, 5)[:3] for extent in data], group_tree, totals or {}, summed)
        used = sum(self.used.values())
        for number in range(devices):
            self.superblock(number, log_root, incompat, 8 if group_tree else 0, used, devices)

    @staticmethod
    def chunk(length, kind, stripes):
        head = struct.pack("<4Q3I2H", length, 2, 65536, kind, 65536, 65536, 4096, len(stripes), 1)
        return head + b"".join(struct.pack("<2Q16s", *stripe, b"") for stripe in stripes)

    def trees(self, data, group_tree, totals, summed):
        blocks = [METADATA_AT + index * NODE for index in range(4 + bool(group_tree) + (summed is not None))]
        self.used = {SYSTEM_AT: NODE, METADATA_AT: NODE * len(blocks), DATA_AT: sum(length for _first, length, _generation in data)}
        self.used.update(totals)
        tree_block = struct.pack("<3Q", 1, self.generation, 2)
        extents = [(address, 169, 0, tree_block) for address in [SYSTEM_AT] + blocks] \
            + [(DATA_AT + first, 168, length, struct.pack("<3Q", 1, generation, 1).ljust(53, b"\0")) for first, length, generation in data]
        groups = [(start, 192, struct.unpack_from("<Q", chunk)[0], struct.pack("<3Q", self.used[start], 256, 0))
                  for start, chunk in self.chunks.items()]
        extents = sorted(extents + ([] if group_tree else groups))
        half = len(extents) // 2
        devices = [struct.pack("<3Q", number + 1, self.SIZE, (1 if number else 3) * MIB).ljust(98, b"\0")
                   for number in range(len(self.images))]
        self.leaf(SYSTEM_AT, [(1, 216, number + 1, device) for number, device in enumerate(devices)]
                  + [(256, 228, start, chunk) for start, chunk in self.chunks.items()])
        roots = [(2, 132, 0, self.root_item(blocks[1], self.levels - 1))]
        if group_tree:
            roots.append((11, 132, 0, self.root_item(blocks[4], 0)))
            self.leaf(blocks[4], groups)
        if summed is not None:
            roots.insert(1, (7, 132, 0, self.root_item(blocks[-1], 0)))
            self.leaf(blocks[-1], [((1 << 64) - 10, 128, DATA_AT + first, bytes(length // 4096 * 4)) for first, length in summed])
        self.leaf(blocks[0], roots)
        if self.levels == 1:
            self.leaf(blocks[1], extents)
            self.leaf(blocks[2], [])
            self.leaf(blocks[3], [])
        else:
            self.leaf(blocks[2], extents[:half])
            self.leaf(blocks[3], extents[half:])
            self.block(blocks[1], 1, 2, b"".join(struct.pack("<QBQQQ", *items[0][:3], address, self.generation)
                                                 for items, address in ((extents[:half], blocks[2]), (extents[half:], blocks[3]))))

    def root_item(self, address, level):
        data = bytearray(439)
        struct.pack_into("<Q", data, 160, self.generation)
        struct.pack_into("<Q", data, 176, address)
        data[238] = level
        return bytes(data)

    def leaf(self, address, items):
        heads, body, end = b"", b"", NODE - 101
        for owner, kind, offset, data in items:
            end -= len(data)
            heads += struct.pack("<QBQII", owner, kind, offset, end, len(data))
            body = data + body
        self.block(address, 0, len(items), heads.ljust(NODE - 101 - len(body), b"\0") + body)

    def block(self, address, level, count, body):
        head = FSID + struct.pack("<QQ16sQQIB", address, 1, CHUNK_TREE_UUID, self.generation, 2, count, level)
        self.put(self.place(address), (head + body).ljust(NODE - 32, b"\0"))

    @staticmethod
    def place(address):
        return address if address < METADATA_AT else address - METADATA_AT + 2 * MIB

    def put(self, position, body, device=0):
        image = self.images[device]
        image[position:position + 32] = struct.pack("<I", crc32c(0xFFFFFFFF, body) ^ 0xFFFFFFFF).ljust(32, b"\0")
        image[position + 32:position + 32 + len(body)] = body

    def superblock(self, number, log_root, incompat, ro_compat, used, devices):
        data = bytearray(4096)
        data[0x20:0x30] = FSID
        system = struct.pack("<QBQ", 256, 228, SYSTEM_AT) + self.chunks[SYSTEM_AT]
        struct.pack_into("<QQ8s4Q", data, 0x30, 65536, 1, b"_BHRfS_M", self.generation, METADATA_AT, SYSTEM_AT, log_root)
        struct.pack_into("<4Q5I", data, 0x70, self.SIZE * devices, used, 6, devices, 4096, NODE, NODE, 4096, len(system))
        struct.pack_into("<4QHBB", data, 0xA4, self.generation, 0, ro_compat, incompat, 0, 0, 0)
        struct.pack_into("<2Q", data, 0xC9, number + 1, self.SIZE)
        data[0x32B:0x32B + len(system)] = system
        self.put(65536, bytes(data[32:]), number)

    def change(self, position, code, value, size=4096, device=0, block=65536):
        """Write a field of the superblock, or of a tree block, and make the checksum right again."""
        body = bytearray(self.images[device][block + 32:block + size])
        struct.pack_into(code, body, position - 32, value)
        self.put(block, bytes(body), device)
