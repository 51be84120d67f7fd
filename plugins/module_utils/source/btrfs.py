# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Used-block map of btrfs, over one or several devices, from its extent tree.

A committed tree never changes, so the map is true whenever the superblock is: also after a crash. What was fsynced since is only in the log
tree, whose blocks and data no extent item names: with one, all that chunks have is used. (No chunk is made beside a log tree: the kernel
commits instead.) The totals of the block groups and of the superblock must agree with the extents. The free space cache is never asked.
"""

import struct
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

from .btrfstree import CHUNK_KEY, HEADER_SIZE, Superblock, Trees, chunk_segment, keys, read_superblock, system_chunks
from .mapread import MapUnknown
from .ranges import Ranges, RangesBuilder
from .stripes import Segment, composed, spread
from .volume import Volume, VolumeMap, attempt, whole

EXTENT_TREE, CHECKSUM_TREE, BLOCK_GROUP_TREE = 2, 7, 11
ROOT_ITEM, EXTENT_ITEM, METADATA_ITEM, BLOCK_GROUP_ITEM, DEVICE_ITEM = 132, 168, 169, 192, 216
FIRST_BYTES = 1 << 20                    # never part of a chunk: boot code, superblock
SUPERBLOCKS = (64 << 10, 64 << 20, 256 << 30)
SUPER_SIZE = 4096
EXTENT_SIZE, EXTENT_OF_DATA = 24, 1        # btrfs_extent_item, and its flag

Device = Tuple[Volume, Superblock]


class Tree(NamedTuple):
    root: int
    level: int
    generation: int


def map_devices(volumes: Sequence[Volume]) -> Dict[Volume, VolumeMap]:
    """The maps of all volumes with btrfs, those that make up one file system together."""
    maps: Dict[Volume, VolumeMap] = {}
    systems: Dict[bytes, List[Device]] = {}
    for volume in volumes:
        superblock, reason = attempt(read_superblock, volume.read_at, volume.size)
        if superblock is None:
            maps[volume] = whole(volume, reason)
        else:
            systems.setdefault(superblock.fsid, []).append((volume, superblock))
    for devices in systems.values():
        found, reason = attempt(_map_file_system, devices)
        for volume, _superblock in devices:
            maps[volume] = found[volume] if found else whole(volume, reason)
    return maps


class FileSystem(NamedTuple):
    """A file system as its superblock had it when that was read."""
    superblock: Superblock
    chunks: List[Segment]
    trees: Trees


class Extent(NamedTuple):
    start: int           # logical addresses
    end: int
    generation: int      # the transaction that made it
    is_data: bool        # of files; else a tree block


def open_devices(devices: Sequence[Device]) -> FileSystem:
    """The file system that these devices make up, all of them. MapUnknown where they do not."""
    superblock = devices[0][1]
    by_number = {own.device: volume for volume, own in devices}
    if len(by_number) != len(devices) or len(devices) != superblock.devices:
        raise MapUnknown(f"{len(devices)} of its {superblock.devices} devices are here")
    if any(own.generation != superblock.generation for _volume, own in devices):
        raise MapUnknown("its devices were not written last together")
    readers = {number: volume.read_at for number, volume in by_number.items()}
    first = _sorted(system_chunks(superblock))
    chunks = _read_chunks(Trees(superblock, composed(first, readers, 1 << 64)), superblock, by_number)
    return FileSystem(superblock, chunks, Trees(superblock, composed(chunks, readers, 1 << 64)))


def _map_file_system(devices: Sequence[Device]) -> Dict[Volume, VolumeMap]:
    system = open_devices(devices)
    if system.superblock.log_root:
        used = Ranges.ascending((chunk.offset, chunk.offset + chunk.length) for chunk in system.chunks)
        method = "btrfs chunks, a log is not replayed"
    else:
        used, method = used_addresses(system), "btrfs extent tree"
    on_devices = spread(system.chunks, used)
    return {volume: VolumeMap(on_devices.get(own.device, Ranges()).union(fixed(own, volume.size)), method) for volume, own in devices}


def fixed(superblock: Superblock, size: int) -> Ranges:
    """Used whatever the trees say: the first bytes, the superblocks, what lies behind the file system."""
    return Ranges([(0, FIRST_BYTES), (superblock.device_size, size)]
                  + [(start, start + SUPER_SIZE) for start in SUPERBLOCKS]).clip(0, size)


def _sorted(segments: Iterator[Segment]) -> List[Segment]:
    found = sorted(segments)
    if any(segment.offset + segment.length > following.offset for segment, following in zip(found, found[1:])):
        raise MapUnknown("chunks overlap")
    return found


def _read_chunks(trees: Trees, superblock: Superblock, devices: Dict[int, Volume]) -> List[Segment]:
    """All chunks; what the chunk tree says of the devices must agree with them."""
    chunks, device_totals = [], {}
    for item in trees.items(superblock.chunk_root, superblock.chunk_root_level, superblock.chunk_root_generation, (CHUNK_KEY, DEVICE_ITEM)):
        if item.kind == CHUNK_KEY:
            chunks.append(chunk_segment(item.offset, item.data))
        else:
            device_totals[item.offset] = struct.unpack_from("<Q", item.data, 16)[0]
    if set(device_totals) != set(devices):
        raise MapUnknown("not all of its devices are here")
    totals = dict.fromkeys(devices, 0)
    for chunk in chunks:
        length = chunk.length // len(chunk.columns)
        for place in (place for column in chunk.columns for place in column):
            if place.member not in devices or place.start + length > devices[place.member].size:
                raise MapUnknown("a chunk lies outside of its device")
            totals[place.member] += length
    if totals != device_totals:
        raise MapUnknown("its devices count other space in chunks than the chunks have")
    return _sorted(iter(chunks))


def tree_roots(system: FileSystem) -> Dict[int, Tree]:
    """The trees that the tree of roots names, by their number."""
    superblock = system.superblock
    return {item.owner: _tree(item.data)
            for item in system.trees.items(superblock.root, superblock.root_level, superblock.generation, (ROOT_ITEM,))}


def extents(system: FileSystem, tree: Tree) -> Iterator[Extent]:
    """All extents that the extent tree has, in the order of their addresses."""
    position = 0
    for leaf in system.trees.leaves(*tree):
        for address, kind, length, place, size in keys(leaf):
            if kind not in (EXTENT_ITEM, METADATA_ITEM):
                continue
            if kind == METADATA_ITEM:
                length = system.superblock.node_size
            if address < position:
                raise MapUnknown("extents overlap")
            if size < EXTENT_SIZE:
                raise MapUnknown("an extent item is damaged")
            position = address + length
            _references, generation, flags = struct.unpack_from("<3Q", leaf, HEADER_SIZE + place)
            yield Extent(address, position, generation, bool(flags & EXTENT_OF_DATA))


def used_addresses(system: FileSystem) -> Ranges:
    """Logical addresses that extents have. MapUnknown where the totals of the file system do not agree with them."""
    superblock, roots = system.superblock, tree_roots(system)
    builder = RangesBuilder()
    for extent in extents(system, roots[EXTENT_TREE]):
        builder.add(extent.start, extent.end)
    used = builder.ranges()
    groups = system.trees.items(*roots[BLOCK_GROUP_TREE if superblock.has_block_group_tree else EXTENT_TREE], (BLOCK_GROUP_ITEM,))
    _check_totals(superblock, system.chunks, used, {(item.owner, item.offset): struct.unpack_from("<Q", item.data)[0] for item in groups})
    return used


def _tree(data: bytes) -> Tree:
    """The tree that a root item describes."""
    return Tree(struct.unpack_from("<Q", data, 176)[0], data[238], struct.unpack_from("<Q", data, 160)[0])


def _check_totals(superblock: Superblock, chunks: Sequence[Segment], used: Ranges, groups: Dict[Tuple[int, int], int]) -> None:
    if set(groups) != {(chunk.offset, chunk.length) for chunk in chunks}:
        raise MapUnknown("its block groups are not its chunks")
    for (start, length), total in groups.items():
        if used.clip(start, start + length).total != total:
            raise MapUnknown(f"the block group at {start} counts other used bytes than its extents have")
    if not sum(groups.values()) == used.total == superblock.bytes_used:
        raise MapUnknown("the superblock counts other used bytes than the extents have")
