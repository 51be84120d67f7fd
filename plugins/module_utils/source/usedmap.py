# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The map of used bytes of a disk.

Free blocks are left out only where a file system's own metadata proves them free; everything else is used: what no partition covers
(partition tables and their backups, boot code, gaps) and every partition whose content is not understood or not consistent.
"""

from typing import Callable, Dict, NamedTuple, Tuple

from ..errors import SourceError
from ..machine.model import Content, Disk, Partition
from . import ext, fat, swap, xfs
from .mapread import MapUnknown, ReadAt
from .ranges import Ranges

UsedParser = Callable[[ReadAt, int, bool], Tuple[Ranges, str]]

# Content kind -> used(read_at, size, frozen) -> (ranges, method), or raises MapUnknown.
PARSERS: Dict[str, UsedParser] = {
    "ext2": ext.used,
    "ext3": ext.used,
    "ext4": ext.used,
    "xfs": xfs.used,
    "swap": swap.used,
    "vfat": fat.used,
}


class PartMap(NamedTuple):
    """How the map of one partition was found."""
    partition: int       # number in the table; 0: the whole disk, which has no table
    kind: str            # content kind of the machine model
    size: int            # bytes
    used: int            # bytes
    method: str          # "whole", or what the parser read
    note: str = ""       # why it is read whole, or what else the operator should know


class UsedMap(NamedTuple):
    ranges: Ranges                  # of the disk
    parts: Tuple[PartMap, ...]


def used_map(read_at: ReadAt, disk: Disk, frozen: bool = False) -> UsedMap:
    """What of the disk has to be captured.

    read_at(offset, length) reads the disk; `disk` is its model (machine.disk.read_disk). frozen: the mounted file systems of the disk
    were frozen before the first read and still are, so that maps on the disk are true although journals are not empty.
    Damaged metadata never raises: that partition is read whole and its PartMap says why. Raises SourceError where the disk cannot be read.
    """
    reader = _source_errors(read_at, disk.name)
    if disk.table == "none":
        ranges, part = _map_content(reader, 0, disk.size, 0, disk.content, frozen)
        return UsedMap(ranges, (part,))
    partitions = [item for item in (_inside(partition, disk.size) for partition in disk.partitions) if item.size > 0]
    covered = Ranges((item.start, item.start + item.size) for item in partitions)
    used = covered.invert(disk.size)
    parts = []
    for item in partitions:
        ranges, part = _map_content(reader, item.start, item.size, item.number, item.content, frozen)
        used = used.union(ranges.shift(item.start))
        parts.append(part)
    return UsedMap(used, tuple(parts))


def _inside(partition: Partition, disk_size: int) -> Partition:
    """The partition cut to the disk."""
    start = min(max(partition.start, 0), disk_size)
    end = min(max(partition.start + partition.size, start), disk_size)
    return partition._replace(start=start, size=end - start)


def _map_content(read_at: ReadAt, start: int, size: int, number: int, content: Content, frozen: bool) -> Tuple[Ranges, PartMap]:
    parser = PARSERS.get(content.kind)
    if parser is None:
        return Ranges.whole(size), PartMap(number, content.kind, size, size, "whole", f"no map of used blocks is known for {content.kind}")

    def read_part(offset: int, length: int) -> bytes:
        return read_at(start + offset, max(0, min(length, size - offset)))

    try:
        ranges, method = parser(read_part, size, frozen)
        ranges = ranges.clip(0, size)
    except SourceError:
        raise
    except MapUnknown as reason:
        note = str(reason)
    except Exception as error:      # Metadata is input from outside: whatever it does to a parser costs speed, never a capture.
        note = f"its metadata could not be parsed ({type(error).__name__}: {error})"
    else:
        return ranges, PartMap(number, content.kind, size, ranges.total, method)
    return Ranges.whole(size), PartMap(number, content.kind, size, size, "whole", note)


def _source_errors(read_at: ReadAt, name: str) -> ReadAt:
    def read(offset: int, length: int) -> bytes:
        try:
            return read_at(offset, length)
        except OSError as error:
            raise SourceError(f"Disk {name} cannot be read at offset {offset}, length {length}: {error.strerror or error}. "
                              "Check the disk and the kernel log.") from error
    return read
