# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which blocks of its data a thin pool has given out, told by its metadata (Linux drivers/md: dm-thin-metadata.c and persistent-data/,
dm-space-map-common.h, dm-btree-internal.h; every number is from there).

The metadata must stand still. What is told is the last transaction that was committed: its reference counts, two bits a block, count for all thin
volumes and for a metadata snapshot.
"""

import struct
from typing import Iterator, List, Tuple

from .bitmap import set_runs
from .checksum import crc32c
from .mapread import MapUnknown, ReadAt
from .ranges import Ranges

BLOCK = 4096                      # bytes, of metadata
MAGIC = 27022010
VERSIONS = (1, 2)
SUPERBLOCK_SEED, TREE_SEED, BITMAP_SEED = 160774, 121107, 240779
SECTOR = 512
MAX_LEVELS = 8
# csum, flags, blocknr, uuid, magic, version, time, trans_id, held_root, data_space_map_root
_SUPERBLOCK = struct.Struct("<IIQ16sQIIQQ128s")
_GEOMETRY = struct.Struct("<QQIIQ")           # data_mapping_root, device_details_root, data_block_size, metadata_block_size, metadata_nr_blocks
_GEOMETRY_AT = _SUPERBLOCK.size + 128         # behind the metadata_space_map_root
_SPACE_MAP = struct.Struct("<QQQQ")           # nr_blocks, nr_allocated, bitmap_root, ref_count_root
_NODE = struct.Struct("<IIQIIII")             # csum, flags, blocknr, nr_entries, max_entries, value_size, padding
_INTERNAL, _LEAF = 1, 2                       # flags of a node
_INDEX_ENTRY = struct.Struct("<QII")          # blocknr, nr_free, none_free_before
_BITMAP_HEADER = 16                           # csum, not_used, blocknr
_BLOCKS_OF_BITMAP = 4 * (BLOCK - _BITMAP_HEADER)
_EVEN_BITS = int.from_bytes(b"\x55" * (BLOCK - _BITMAP_HEADER), "little")


def allocated(read_metadata: ReadAt, metadata_size: int, data_size: int) -> Ranges:
    """The bytes of the pool's data (a volume of `data_size` bytes) that belong to some thin volume.

    Raises MapUnknown where the metadata are damaged, or not those of such a pool.
    """
    metadata = _Metadata(read_metadata, metadata_size)
    block_size, space_map = _superblock(metadata)
    blocks, _allocated, root, _overflow = _SPACE_MAP.unpack_from(space_map)
    if not blocks or blocks * block_size > data_size:
        raise MapUnknown("the thin pool is larger than the volume that holds its data")
    runs = []                     # type: List[Tuple[int, int]]
    for number, bitmap in enumerate(_bitmaps(metadata, root, -(-blocks // _BLOCKS_OF_BITMAP))):
        first = number * _BLOCKS_OF_BITMAP
        runs += [((first + start) * block_size, (first + end) * block_size)
                 for start, end in _counted(bitmap, min(_BLOCKS_OF_BITMAP, blocks - first))]
    return Ranges(runs)


class _Metadata:
    def __init__(self, read_at: ReadAt, size: int):
        self._read_at = read_at
        self._blocks = size // BLOCK

    def block(self, number: int, seed: int) -> bytes:
        """A block whose checksum and number are right; `seed` tells the kind of block that it has to be."""
        if number >= self._blocks:
            raise MapUnknown(f"the metadata of the thin pool refer to block {number}, beyond their end")
        data = self._read_at(number * BLOCK, BLOCK)
        if struct.unpack_from("<I", data)[0] != crc32c(0xFFFFFFFF, data[4:]) ^ seed or struct.unpack_from("<Q", data, 8)[0] != number:
            raise MapUnknown(f"block {number} of the thin pool's metadata is damaged")
        return data


def _superblock(metadata: _Metadata) -> Tuple[int, bytes]:
    """(bytes of a block of data, root of the space map of the data)."""
    data = metadata.block(0, SUPERBLOCK_SEED)
    _csum, _flags, _blocknr, _uuid, magic, version, _time, _transaction, _held, space_map = _SUPERBLOCK.unpack_from(data)
    _mapping, _details, block_sectors, metadata_sectors, _blocks = _GEOMETRY.unpack_from(data, _GEOMETRY_AT)
    if magic != MAGIC or version not in VERSIONS or metadata_sectors * SECTOR != BLOCK or not block_sectors:
        raise MapUnknown("the metadata of the thin pool are of a kind that is not known")
    return block_sectors * SECTOR, space_map


def _bitmaps(metadata: _Metadata, root: int, count: int) -> Iterator[bytes]:
    """The bitmaps in order; their tree must have `count`, with keys from 0 up."""
    found = 0
    for key, value in _leaves(metadata, root, MAX_LEVELS):
        if key != found or found == count:
            break
        number, _free, _hint = _INDEX_ENTRY.unpack(value)
        yield metadata.block(number, BITMAP_SEED)[_BITMAP_HEADER:]
        found += 1
    else:
        if found == count:
            return
    raise MapUnknown("the thin pool's index of bitmaps has gaps")


def _leaves(metadata: _Metadata, root: int, levels: int) -> Iterator[Tuple[int, bytes]]:
    """(key, value) of a B-tree of index entries, in order."""
    if not levels:
        raise MapUnknown("the thin pool's index of bitmaps is too deep")
    data = metadata.block(root, TREE_SEED)
    _csum, flags, _blocknr, count, room, size, _padding = _NODE.unpack_from(data)
    if flags not in (_INTERNAL, _LEAF) or count > room or _NODE.size + room * (8 + size) > BLOCK:
        raise MapUnknown(f"block {root} of the thin pool's metadata makes no sense")
    if size != (_INDEX_ENTRY.size if flags == _LEAF else 8):
        raise MapUnknown(f"block {root} of the thin pool's metadata holds something else than an index of bitmaps")
    keys = struct.unpack_from(f"<{count}Q", data, _NODE.size)
    for number, key in enumerate(keys):
        at = _NODE.size + 8 * room + size * number
        if flags == _LEAF:
            yield key, data[at:at + size]
        else:
            yield from _leaves(metadata, struct.unpack_from("<Q", data, at)[0], levels - 1)


def _counted(bitmap: bytes, blocks: int) -> List[Tuple[int, int]]:
    """Runs [first, end) of blocks that are referred to: either of their two bits is set."""
    value = int.from_bytes(bitmap, "little")
    either = (value | value >> 1) & _EVEN_BITS
    runs, _count = set_runs((either | either << 1).to_bytes(len(bitmap), "little"), 2 * blocks)
    return [(start // 2, end // 2) for start, end in runs]
