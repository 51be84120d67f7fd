# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a btrfs on one device has written since a moment, told by its transactions.

What a committed transaction has is never overwritten while an extent has it: new content gets a new extent, and each extent says which
transaction made it (kernel fs/btrfs/extent-tree.c). Two kinds of data are the exceptions, and neither has checksums when it is written in
place: files without copy on write (swap files, the free space cache), and space that fallocate reserved, at its first write. So data count
only where they had checksums at the moment; that a file that has them loses copy on write cannot be.
"""

from typing import Callable, FrozenSet, NamedTuple, TypeVar

from ...machine.model import Content
from ..btrfs import CHECKSUM_TREE, EXTENT_TREE, FileSystem, extents, fixed, open_devices, tree_roots, used_addresses
from ..btrfstree import read_superblock
from ..mapread import MapUnknown, ReadAt
from ..ranges import Ranges, RangesBuilder
from ..stripes import Segment, spread
from ..volume import Volume, attempt

CHECKSUMS_OWNER, CHECKSUM_ITEM = (1 << 64) - 10, 128
# Trees of a running file system are whole until two more transactions have committed; a reader that was too slow begins anew.
TRIES = 4

Found = TypeVar("Found")


class Seen(NamedTuple):
    """What a look found: all extents up to this transaction are on the disk for good, where these chunks put them."""
    generation: int
    chunks: FrozenSet[Segment]


def used_while_running(read_at: ReadAt, size: int) -> Ranges:
    """About the bytes in use of a mounted file system; what was fsynced since its last transaction is not in it. Raises MapUnknown."""
    return _steady(read_at, size, lambda system: _on_device(system, used_addresses(system)).union(fixed(system.superblock, size)))


def has_checksums(read_at: ReadAt, size: int) -> Ranges:
    """The logical addresses of data with checksums, by the last transaction. Raises MapUnknown."""
    return _steady(read_at, size, _checksummed)


def see(read_at: ReadAt, size: int) -> Seen:
    """To be told to `unchanged` later. Raises MapUnknown."""
    return _steady(read_at, size, _seen)


def unchanged(read_at: ReadAt, size: int, before: Seen, checksummed: Ranges) -> Ranges:
    """Bytes of the device that are in use and have been the same since `before`, where `checksummed` was so after it. Raises MapUnknown."""
    def same(system: FileSystem) -> Ranges:
        data, rest = RangesBuilder(), RangesBuilder()
        for extent in extents(system, tree_roots(system)[EXTENT_TREE]):
            if extent.generation <= before.generation:
                (data if extent.is_data else rest).add(extent.start, extent.end)
        kept = [segment for segment in system.chunks if segment in before.chunks]
        return _on_device(system._replace(chunks=kept), data.ranges().intersect(checksummed).union(rest.ranges()))
    return _steady(read_at, size, same)


def _seen(system: FileSystem) -> Seen:
    return Seen(system.superblock.generation, frozenset(system.chunks))


def _steady(read_at: ReadAt, size: int, ask: Callable[[FileSystem], Found]) -> Found:
    """What `ask` finds in the file system as the last transaction left it."""
    reason = ""
    for _try in range(TRIES):
        found, reason = attempt(lambda: ask(_open(read_at, size)))
        if found is not None:
            return found
    raise MapUnknown(reason)


def _open(read_at: ReadAt, size: int) -> FileSystem:
    return open_devices([(Volume("", size, read_at, Content("btrfs")), read_superblock(read_at, size))])


def _on_device(system: FileSystem, addresses: Ranges) -> Ranges:
    return spread(system.chunks, addresses).get(system.superblock.device, Ranges())


def _checksummed(system: FileSystem) -> Ranges:
    superblock, builder = system.superblock, RangesBuilder()
    for item in system.trees.items(*tree_roots(system)[CHECKSUM_TREE], (CHECKSUM_ITEM,)):
        if item.owner == CHECKSUMS_OWNER:
            builder.add(item.offset, item.offset + len(item.data) // superblock.checksum_size * superblock.sector_size)
    return builder.ranges()
