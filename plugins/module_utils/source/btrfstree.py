# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On-disk structures of btrfs: superblock, chunks, tree blocks (kernel include/uapi/linux/btrfs_tree.h, fs/btrfs). Little endian."""

import hashlib
import struct
from typing import Callable, Dict, Iterator, NamedTuple, Sequence, Set, Tuple

from .checksum import crc32c
from .mapread import MapUnknown, ReadAt, read_exactly
from .stripes import Place, Segment

SUPER_OFFSET, SUPER_SIZE = 0x10000, 4096
MAGIC = b"_BHRfS_M"
FLAGS_KNOWN = 0x1 | 0x1 << 32            # written, seeding; not: with errors, dumped metadata, changing its UUID
# mixed_backref default_subvol mixed_groups lzo zstd big_metadata extended_iref raid56 skinny_metadata no_holes metadata_uuid raid1c34
# simple_quota; not: zoned, extent tree v2, raid stripe tree, remap tree
INCOMPAT_KNOWN = 0xFFF | 0x10000
INCOMPAT_METADATA_UUID = 0x400
# of those that change nothing for readers: free space tree, verity; the block group tree moves items that are read here
RO_COMPAT_KNOWN, RO_COMPAT_BLOCK_GROUP_TREE = 0xF, 0x8
HEADER_SIZE, ITEM_SIZE, POINTER_SIZE = 101, 25, 33
CHUNK_SIZE, STRIPE_SIZE, KEY_SIZE = 48, 32, 17
CHUNK_KEY = 228
RAID0, RAID1, DUP, RAID10, RAID1C3, RAID1C4 = 0x8, 0x10, 0x20, 0x40, 0x200, 0x400
PROFILES = RAID0 | RAID1 | DUP | RAID10 | 0x80 | 0x100 | RAID1C3 | RAID1C4       # and RAID5, RAID6
MAX_LEVEL = 8


class Superblock(NamedTuple):
    fsid: bytes
    tree_fsid: bytes         # as tree blocks have it
    generation: int
    root: int                # logical addresses
    chunk_root: int
    log_root: int
    bytes_used: int
    devices: int
    sector_size: int
    node_size: int
    has_block_group_tree: bool
    checksum: Callable[[bytes], bytes]
    checksum_size: int       # bytes that data checksums have, one a sector
    root_level: int
    chunk_root_level: int
    chunk_root_generation: int
    device: int              # number of this device
    device_size: int         # bytes that the file system has of it
    system_chunks: bytes


class Item(NamedTuple):
    owner: int               # the key: objectid, type, offset
    kind: int
    offset: int
    data: bytes


def _crc32c(data: bytes) -> bytes:
    return struct.pack("<I", crc32c(0xFFFFFFFF, data) ^ 0xFFFFFFFF)


CHECKSUMS: Dict[int, Callable[[bytes], bytes]] = {
    0: _crc32c,
    2: lambda data: hashlib.sha256(data).digest(),
    3: lambda data: hashlib.blake2b(data, digest_size=32).digest(),
}
CHECKSUM_SIZES = {0: 4, 2: 32, 3: 32}


def read_superblock(read_at: ReadAt, size: int) -> Superblock:
    """The first superblock of a device of `size` bytes. MapUnknown where it is damaged or has what is not known here."""
    data = read_exactly(read_at, SUPER_OFFSET, SUPER_SIZE, "superblock")
    kind, root_level, chunk_level = struct.unpack_from("<HBB", data, 0xC4)
    if data[0x40:0x48] != MAGIC or struct.unpack_from("<Q", data, 0x30)[0] != SUPER_OFFSET:
        raise MapUnknown("no btrfs superblock")
    if kind not in CHECKSUMS:
        raise MapUnknown(f"checksums of type {kind} are not known")
    if not _has_checksum(data, CHECKSUMS[kind]):
        raise MapUnknown("the superblock has a wrong checksum")
    flags, = struct.unpack_from("<Q", data, 0x38)
    generation, root, chunk_root, log_root = struct.unpack_from("<4Q", data, 0x48)
    _total, bytes_used, _directory, devices, sector_size, node_size = struct.unpack_from("<4Q2I", data, 0x70)
    system_size, chunk_generation, _compat, ro_compat, incompat = struct.unpack_from("<IQQQQ", data, 0xA0)
    device, device_size = struct.unpack_from("<2Q", data, 0xC9)
    if flags & ~FLAGS_KNOWN or incompat & ~INCOMPAT_KNOWN or ro_compat & ~RO_COMPAT_KNOWN:
        raise MapUnknown(f"unknown btrfs features (flags {flags:#x}, incompat {incompat:#x}, ro_compat {ro_compat:#x})")
    if node_size not in (4096, 8192, 16384, 32768, 65536) or sector_size > node_size or system_size > 2048 or device_size > size:
        raise MapUnknown("the superblock's sizes make no sense, or the file system is larger than its partition")
    fsid = data[0x20:0x30]
    return Superblock(fsid, data[0x23B:0x24B] if incompat & INCOMPAT_METADATA_UUID else fsid, generation, root, chunk_root, log_root,
                      bytes_used, devices, sector_size, node_size, bool(ro_compat & RO_COMPAT_BLOCK_GROUP_TREE), CHECKSUMS[kind],
                      CHECKSUM_SIZES[kind], root_level, chunk_level, chunk_generation, device, device_size, data[0x32B:0x32B + system_size])


def _has_checksum(data: bytes, checksum: Callable[[bytes], bytes]) -> bool:
    expected = checksum(data[32:])
    return data[:len(expected)] == expected


def system_chunks(superblock: Superblock) -> Iterator[Segment]:
    """The chunks that the superblock itself names: those with the chunk tree."""
    data = superblock.system_chunks
    while data:
        _owner, kind, address = struct.unpack_from("<QBQ", data)
        if kind != CHUNK_KEY:
            raise MapUnknown("the superblock's list of chunks is damaged")
        chunk = data[KEY_SIZE:]
        yield chunk_segment(address, chunk)
        data = chunk[CHUNK_SIZE + struct.unpack_from("<H", chunk, 44)[0] * STRIPE_SIZE:]


def chunk_segment(address: int, data: bytes) -> Segment:
    """A chunk item as a segment of logical addresses; the members are device numbers."""
    length, _owner, stripe_length, kind, _align, _width, _sector, count, sub_count = struct.unpack_from("<4Q3I2H", data)
    places = tuple(Place(*struct.unpack_from("<2Q", data, CHUNK_SIZE + index * STRIPE_SIZE)) for index in range(count))
    profile = kind & PROFILES
    if profile in (0, RAID1, DUP, RAID1C3, RAID1C4):
        columns = (places,)
    elif profile == RAID0:
        columns = tuple((place,) for place in places)
    elif profile == RAID10 and sub_count and count % sub_count == 0:
        columns = tuple(places[index:index + sub_count] for index in range(0, count, sub_count))
    else:
        raise MapUnknown(f"chunks of type {kind:#x} are not known")
    if not length or not places or (len(columns) > 1 and (not stripe_length or length % (stripe_length * len(columns)))):
        raise MapUnknown("a chunk is damaged")
    return Segment(address, length, stripe_length, columns)


class Trees:
    """Reads the trees of one file system. `read_at` takes logical addresses."""

    def __init__(self, superblock: Superblock, read_at: ReadAt):
        self._superblock = superblock
        self._read_at = read_at

    def leaves(self, root: int, level: int, generation: int) -> Iterator[bytes]:
        """The leaves of a tree in the order of their keys; MapUnknown at the first damaged block."""
        if level >= MAX_LEVEL:
            raise MapUnknown("a tree of the file system is damaged")
        return self._walk(root, level, generation, set())

    def items(self, root: int, level: int, generation: int, kinds: Sequence[int]) -> Iterator[Item]:
        """The items of these types of a tree."""
        for leaf in self.leaves(root, level, generation):
            for owner, kind, offset, start, size in keys(leaf):
                if kind in kinds:
                    start += HEADER_SIZE
                    if start + size > len(leaf):
                        raise MapUnknown(f"a tree block of the file system is damaged: an item of type {kind}")
                    yield Item(owner, kind, offset, leaf[start:start + size])

    def _walk(self, address: int, level: int, generation: int, seen: Set[int]) -> Iterator[bytes]:
        if address in seen:
            raise MapUnknown("a tree of the file system bites its tail")
        seen.add(address)
        data = self._block(address, level, generation)
        if level == 0:
            yield data
            return
        count = struct.unpack_from("<I", data, 96)[0]
        pointers = data[HEADER_SIZE:HEADER_SIZE + count * POINTER_SIZE]
        for _owner, _kind, _offset, child, child_generation in struct.iter_unpack("<QBQQQ", pointers):
            yield from self._walk(child, level - 1, child_generation, seen)

    def _block(self, address: int, level: int, generation: int) -> bytes:
        data = read_exactly(self._read_at, address, self._superblock.node_size, "tree block")
        own = struct.unpack_from("<Q", data, 48)[0]
        own_generation, count, own_level = struct.unpack_from("<Q8xIB", data, 80)
        room = (len(data) - HEADER_SIZE) // (POINTER_SIZE if level else ITEM_SIZE)
        if own != address or own_generation != generation or own_level != level or count > room \
                or data[32:48] != self._superblock.tree_fsid or not _has_checksum(data, self._superblock.checksum):
            raise MapUnknown(f"the tree block at {address} is damaged")
        return data


def keys(leaf: bytes) -> Iterator[Tuple[int, int, int, int, int]]:
    """(objectid, type, offset, position and size of the data) of each item of a leaf."""
    count = struct.unpack_from("<I", leaf, 96)[0]
    return struct.iter_unpack("<QBQII", leaf[HEADER_SIZE:HEADER_SIZE + count * ITEM_SIZE])
