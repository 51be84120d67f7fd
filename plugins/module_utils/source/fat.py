# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Used-block map of FAT12, FAT16 and FAT32 from the file allocation tables.

Format: Microsoft "FAT: General Overview of On-Disk Format" (fatgen103); dirty bit in the boot sector: kernel fs/fat/inode.c. Little endian.
"""

import struct
from typing import Iterator, NamedTuple, Tuple

from .bitmap import nonzero_runs
from .mapread import MapUnknown, ReadAt, read_exactly
from .ranges import Ranges, RangesBuilder

MAX_FAT12_CLUSTERS = 4084
MAX_FAT16_CLUSTERS = 65524
MAX_FAT32_CLUSTERS = 0x0FFFFFF4
# The specification and the implementations disagree by one or two about where the widths change; nobody formats such volumes.
AMBIGUOUS_CLUSTERS = (4083, 4084, 4085, 4086, 4087, 65523, 65524, 65525, 65526)
FAT16_CLEAN, FAT16_NO_ERROR = 0x8000, 0x4000
FAT32_CLEAN, FAT32_NO_ERROR = 0x08000000, 0x04000000
STATE_DIRTY = 0x3                   # boot sector: mounted read-write, and disk errors seen
BATCH = 3 << 20                     # bytes of a table read at once: whole entries of 12, 16 and 32 bits
_LOW_NIBBLE = bytes(value & 0x0F for value in range(256))


class Volume(NamedTuple):
    cluster: int         # bytes
    width: int           # bits of a table entry: 12, 16, 32
    tables: int          # number of tables
    table_start: int     # offset of the first table
    table_size: int      # bytes of one table
    data_start: int      # offset of cluster 2
    clusters: int        # number of clusters


def used(read_at: ReadAt, size: int, frozen: bool) -> Tuple[Ranges, str]:
    """Everything before the first cluster, every cluster that any of the tables calls used or bad, and what follows the last cluster.

    MapUnknown where the volume was not unmounted cleanly (also where it is frozen: nothing on disk tells the two apart).
    """
    boot = read_exactly(read_at, 0, 512, "boot sector")
    volume = _read_volume(boot, size)
    _refuse_dirty(read_at, volume, boot)
    ranges = Ranges([(0, volume.data_start), (volume.data_start + volume.clusters * volume.cluster, size)])
    for number in range(volume.tables):
        ranges = ranges.union(_table_map(read_at, volume, volume.table_start + number * volume.table_size))
    return ranges, f"FAT{volume.width} tables"


def _read_volume(boot: bytes, size: int) -> Volume:
    sector, cluster_sectors, reserved, tables, root_entries, sectors16, _media, table16 = struct.unpack_from("<HBHBHHBH", boot, 11)
    sectors32, table32 = struct.unpack_from("<I", boot, 32)[0], struct.unpack_from("<I", boot, 36)[0]
    table_sectors = table16 or table32
    sectors = sectors16 or sectors32
    if sector not in (512, 1024, 2048, 4096) or not cluster_sectors or cluster_sectors & (cluster_sectors - 1) or not reserved \
            or not 1 <= tables <= 2 or not table_sectors:
        raise MapUnknown("no FAT boot sector that makes sense")
    data_start = (reserved + tables * table_sectors) * sector + -(-root_entries * 32 // sector) * sector
    if sectors * sector > size or data_start >= sectors * sector:
        raise MapUnknown("the boot sector's sizes make no sense, or the volume is larger than its partition")
    clusters = (sectors * sector - data_start) // (cluster_sectors * sector)
    width = _width(clusters, fat32=not table16)
    if (clusters + 2) * width > table_sectors * sector * 8:
        raise MapUnknown("the file allocation table is too small for its volume")
    return Volume(cluster_sectors * sector, width, tables, reserved * sector, table_sectors * sector, data_start, clusters)


def _width(clusters: int, fat32: bool) -> int:
    if fat32:
        if clusters > MAX_FAT32_CLUSTERS:
            raise MapUnknown("more clusters than FAT32 can have")
        return 32
    if clusters in AMBIGUOUS_CLUSTERS or clusters > MAX_FAT16_CLUSTERS:
        raise MapUnknown("the width of the file allocation table cannot be told")
    return 12 if clusters < MAX_FAT12_CLUSTERS else 16


def _refuse_dirty(read_at: ReadAt, volume: Volume, boot: bytes) -> None:
    state = boot[0x41] if volume.width == 32 else boot[0x25]
    first = read_exactly(read_at, volume.table_start, 8, "file allocation table")
    if volume.width == 32:
        wanted, flags = FAT32_CLEAN | FAT32_NO_ERROR, struct.unpack_from("<I", first, 4)[0]
    elif volume.width == 16:
        wanted, flags = FAT16_CLEAN | FAT16_NO_ERROR, struct.unpack_from("<H", first, 2)[0]
    else:
        wanted, flags = 0, 0        # FAT12 has no such bits in its table
    if state & STATE_DIRTY or flags & wanted != wanted:
        raise MapUnknown("mounted, or not unmounted cleanly")


def _table_map(read_at: ReadAt, volume: Volume, start: int) -> Ranges:
    builder = RangesBuilder()
    cluster = -2        # the first two entries belong to no cluster
    for flags in _used_flags(read_at, volume, start):
        for first, end in nonzero_runs(flags):
            low, high = max(0, cluster + first), min(volume.clusters, cluster + end)
            builder.add(volume.data_start + low * volume.cluster, volume.data_start + high * volume.cluster)
        cluster += len(flags)
    return builder.ranges()


def _used_flags(read_at: ReadAt, volume: Volume, start: int) -> Iterator[bytes]:
    """One byte for each table entry, not zero where the cluster is used, in pieces."""
    length = -(-(volume.clusters + 2) * volume.width // 8)
    for position in range(0, length, BATCH):
        data = read_exactly(read_at, start + position, min(BATCH, length - position), "file allocation table")
        if volume.width == 32:      # the upper four bits of an entry are reserved
            yield _or(data[0::4], data[1::4], data[2::4], data[3::4].translate(_LOW_NIBBLE))
        elif volume.width == 16:
            yield _or(data[0::2], data[1::2])
        else:
            yield _flags12(data)


def _or(*planes: bytes) -> bytes:
    """Byte by byte "or" of strings of equal length."""
    value = 0
    for plane in planes:
        value |= int.from_bytes(plane, "little")
    return value.to_bytes(len(planes[0]), "little")


def _flags12(data: bytes) -> bytes:
    """Two entries share three bytes; at most 4,086 of them."""
    flags = bytearray()
    for position in range(0, len(data) - 1, 3):
        low, middle = data[position], data[position + 1]
        flags.append(1 if low or middle & 0x0F else 0)
        if position + 2 < len(data):
            flags.append(1 if middle & 0xF0 or data[position + 2] else 0)
    return bytes(flags)
