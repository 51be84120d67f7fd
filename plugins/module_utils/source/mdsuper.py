# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Superblocks of Linux MD, formats 0.90, 1.0, 1.1 and 1.2 (include/uapi/linux/raid/md_p.h, drivers/md/md.c).

Format 1 is little endian, 0.90 has the byte order of the machine that made it.
"""

import struct
from typing import Iterator, NamedTuple, Optional, Tuple

from ..machine.content import MD_MAGIC
from .mapread import MapUnknown, ReadAt, read_exactly

SECTOR = 512
SUPER_0_SIZE, SUPER_1_SIZE = 4096, 256
CLEAN, ACTIVE_AND_SYNC = 0x1, 0x6          # 0.90: state of the array, of a disk
NEVER = (1 << 64) - 1                      # 1.x: resync_offset of an array in sync; end of a list of bad blocks
NO_ROLE = 0xFFFD                           # 1.x: this role and above: journal, faulty, spare
MAX_DEVICES = 1024
# 1.x features: 0x1 bitmap, 0x8 list of bad blocks, 0x1000 raid0 layout is recorded. The others: recovery, reshape, journals, clusters …
FEATURES_KNOWN = 0x1 | 0x8 | 0x1000
FEATURE_BITMAP, FEATURE_BAD_BLOCKS = 0x1, 0x8


class Superblock(NamedTuple):
    version: str             # 0.90 1.0 1.1 1.2
    array: str               # UUID
    level: int
    layout: int
    chunk: int               # bytes, 0 where the level has none
    disks: int               # that the array consists of
    role: Optional[int]      # position in the array, None: spare, faulty
    events: int
    clean: bool              # written and synchronised completely
    data_start: int          # bytes of the member
    data_size: int           # what the array uses of the member, as far as it says: 0.90 raid0 does not
    obstacle: str            # what is going on that makes the members' content uncertain, "" if nothing


def read_superblock(read_at: ReadAt, size: int) -> Superblock:
    """The superblock of a member of `size` bytes. MapUnknown where there is none, more than one, or a damaged one."""
    found = list(_superblocks(read_at, size))
    if len(found) != 1:
        raise MapUnknown("it has superblocks of two MD arrays" if found else "no MD superblock")
    return found[0]


def _superblocks(read_at: ReadAt, size: int) -> Iterator[Superblock]:
    old = size // 65536 * 65536 - 65536
    if old >= 0:
        data = read_exactly(read_at, old, SUPER_0_SIZE, "MD superblock")
        for order in "<>":
            if struct.unpack_from(order + "2I", data) == (MD_MAGIC, 0):
                yield _parse_0(data, order, old)
    for minor, position in enumerate(((size // SECTOR - 16) // 8 * 8 * SECTOR, 0, 4096)):
        if 0 <= position <= size - SUPER_1_SIZE:
            data = read_exactly(read_at, position, SUPER_1_SIZE, "MD superblock")
            if struct.unpack_from("<2I", data) == (MD_MAGIC, 1):
                yield _parse_1(read_at, size, data, position, f"1.{minor}")


def _parse_0(data: bytes, order: str, position: int) -> Superblock:
    words = struct.unpack(order + "1024I", data)
    total = sum(words) - words[38]
    if (total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF != words[38]:
        raise MapUnknown("the MD superblock has a wrong checksum")
    level = struct.unpack(order + "i", data[28:32])[0]
    role = words[995] if words[996] & ACTIVE_AND_SYNC == ACTIVE_AND_SYNC else None
    return Superblock(
        version="0.90", array="%08x:%08x:%08x:%08x" % (words[5], words[13], words[14], words[15]), level=level, layout=words[64],
        chunk=words[65], disks=words[10], role=role, events=struct.unpack_from(order + "Q", data, 39 * 4)[0],
        clean=bool(words[33] & CLEAN), data_start=0, data_size=min(words[8] * 1024, position) if level > 0 else position,
        obstacle="" if words[2] == 90 else "it is being reshaped")


def _parse_1(read_at: ReadAt, size: int, head: bytes, position: int, version: str) -> Superblock:
    max_devices = struct.unpack_from("<I", head, 220)[0]
    if max_devices > MAX_DEVICES:
        raise MapUnknown("the MD superblock is damaged")
    data = read_exactly(read_at, position, SUPER_1_SIZE + 2 * max_devices, "MD superblock")
    if _checksum_1(data) != struct.unpack_from("<I", data, 216)[0]:
        raise MapUnknown("the MD superblock has a wrong checksum")
    features = struct.unpack_from("<I", data, 8)[0]
    level, layout, used, chunk, disks = struct.unpack_from("<iIQII", data, 72)
    data_start, data_size, own, _recovery, number = struct.unpack_from("<QQQQI", data, 128)
    events, resync = struct.unpack_from("<QQ", data, 200)
    if own * SECTOR != position or number >= max_devices:
        raise MapUnknown("the MD superblock is damaged")
    role = struct.unpack_from("<H", data, SUPER_1_SIZE + 2 * number)[0]
    start, length = data_start * SECTOR, (used if level > 0 else data_size) * SECTOR
    if used > data_size or start + length > size:
        raise MapUnknown("the MD superblock names more data than its member has")
    if any(start <= place < start + length for place in (position,) + _areas(data, features, position)):
        raise MapUnknown("the MD superblock, its bitmap or its list of bad blocks lies within the data")
    return Superblock(version, data[16:32].hex(), level, layout, chunk * SECTOR, disks, role if role < NO_ROLE else None, events,
                      resync == NEVER, start, length, _obstacle(read_at, data, features, position))


def _checksum_1(data: bytes) -> int:
    blank = data[:216] + bytes(4) + data[220:]
    total = sum(struct.unpack(f"<{len(blank) // 4}I", blank[:len(blank) // 4 * 4]))
    if len(blank) % 4:
        total += struct.unpack_from("<H", blank, len(blank) - 2)[0]
    return (total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF


def _areas(data: bytes, features: int, position: int) -> Tuple[int, ...]:
    """Where bitmap and list of bad blocks begin."""
    bitmap, bad_blocks = struct.unpack_from("<i", data, 96)[0], struct.unpack_from("<i", data, 188)[0]
    return ((position + bitmap * SECTOR,) if features & FEATURE_BITMAP else ()) \
        + ((position + bad_blocks * SECTOR,) if features & FEATURE_BAD_BLOCKS else ())


def _obstacle(read_at: ReadAt, data: bytes, features: int, position: int) -> str:
    if features & ~FEATURES_KNOWN:
        return f"it is being recovered or reshaped, or has a journal (features {features & ~FEATURES_KNOWN:#x})"
    if features & FEATURE_BAD_BLOCKS:
        sectors, offset = struct.unpack_from("<Hi", data, 186)
        first = read_exactly(read_at, position + offset * SECTOR, 8, "MD list of bad blocks")
        if sectors and struct.unpack("<Q", first)[0] != NEVER:
            return "a member has bad blocks"
    return ""
