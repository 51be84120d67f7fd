# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The maps of used bytes of the disks of a machine.

Free blocks are left out only where a file system's own metadata proves them free; everything else is used: what no partition covers
(partition tables and their backups, boot code, gaps) and every partition whose content is not understood or not consistent.
"""

from typing import List, NamedTuple, Sequence, Tuple

from ..errors import SourceError
from ..machine.model import Disk
from .mapread import ReadAt
from .ranges import Ranges
from .stack import map_volumes
from .volume import Volume, VolumeMap, volumes_of


class PartMap(NamedTuple):
    """How the map of one partition was found."""
    partition: int       # number in the table; 0: the whole disk, which has no table
    kind: str            # content kind of the machine model
    size: int            # bytes
    used: int            # bytes
    method: str          # "whole", or what was read to tell: "lvm2: 2 of 3 LVs by ext4, xfs"
    note: str = ""       # why it is read whole, or what else the operator should know


class UsedMap(NamedTuple):
    ranges: Ranges                  # of the disk
    parts: Tuple[PartMap, ...]


def used_maps(disks: Sequence[Tuple[ReadAt, Disk]], frozen: bool = False) -> List[UsedMap]:
    """What of each disk has to be captured. All disks of a machine belong together: volume groups, arrays and btrfs span them.

    A disk is given as (read_at, its model of machine.disk.read_disk); its name is its own. read_at(offset, length) reads it. frozen: the
    mounted file systems of the disks were frozen before the first read and still are, so that maps on the disk are true although journals
    are not empty. Damaged metadata never raises: that partition is read whole and its PartMap says why. Raises SourceError where a disk
    cannot be read.
    """
    volumes = [list(volumes_of(_source_errors(read_at, disk.name), disk)) for read_at, disk in disks]
    maps = map_volumes([volume for found in volumes for _number, volume in found], frozen)
    return [_disk_map(disk, [(number, volume, maps[volume]) for number, volume in found])
            for (_read_at, disk), found in zip(disks, volumes)]


def used_map(read_at: ReadAt, disk: Disk, frozen: bool = False) -> UsedMap:
    """`used_maps` of a machine that has one disk."""
    return used_maps([(read_at, disk)], frozen)[0]


def _disk_map(disk: Disk, found: Sequence[Tuple[int, Volume, VolumeMap]]) -> UsedMap:
    used = Ranges((volume.start, volume.start + volume.size) for _number, volume, _map in found).invert(disk.size)
    parts = []
    for number, volume, each in found:
        used = used.union(each.ranges.shift(volume.start))
        parts.append(PartMap(number, volume.content.kind, volume.size, each.ranges.total, each.method, each.note))
    return UsedMap(used, tuple(parts))


def _source_errors(read_at: ReadAt, name: str) -> ReadAt:
    def read(offset: int, length: int) -> bytes:
        try:
            return read_at(offset, length)
        except OSError as error:
            raise SourceError(f"Disk {name} cannot be read at offset {offset}, length {length}: {error.strerror or error}. "
                              "Check the disk and the kernel log.") from error
    return read
