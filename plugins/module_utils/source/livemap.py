# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maps of used bytes of disks from which file systems are mounted.

While these are frozen their maps are exact. While they run a map is only something to begin with: where it differs from the frozen one, the
disk is read again.
"""

from typing import Callable, Collection, Dict, NamedTuple, Set

from ..errors import SourceError
from ..machine.model import CONTAINERS, Content, Disk
from . import ext, xfs
from .changed import btrfs
from .extidle import idle
from .mapread import ReadAt, part_of
from .ranges import Ranges
from .usedmap import UsedMap, used_map

_EXT = ("ext2", "ext3", "ext4")
_RUNNING = {"ext2": ext.used_while_running, "ext3": ext.used_while_running, "ext4": ext.used_while_running,
            "xfs": xfs.used_while_running, "btrfs": btrfs.used_while_running}       # type: Dict[str, Callable[[ReadAt, int], Ranges]]


class MountedPart(NamedTuple):
    """A part of a disk that is exactly one mounted file system. `number` is that of the partition, 0: the whole disk."""
    number: int
    kind: str
    start: int
    size: int


def frozen_map(read_at: ReadAt, disk: Disk, frozen: Collection[int], mounted: Collection[MountedPart]) -> UsedMap:
    """The map of a disk; `frozen`: numbers of the partitions (0: the whole disk) of which everything that is mounted is frozen."""
    # A volume group or an array may also hold what is not mounted and was never shut down well: a freeze of the rest says nothing of it.
    frozen = set(frozen).difference(_containers(disk))
    still = used_map(read_at, _only(disk, lambda number: number not in frozen), False)
    stopped = used_map(read_at, _only(disk, lambda number: number in frozen), True)
    ranges = still.ranges.intersect(stopped.ranges)
    for part in mounted:
        if part.number in frozen and part.kind in _EXT:
            ranges = _without(ranges, part, lambda inner, size: idle(inner, size, running=False), read_at)
    return UsedMap(ranges, tuple(other if other.partition in frozen else own for own, other in zip(still.parts, stopped.parts)))


def running_map(read_at: ReadAt, disk: Disk, mounted: Collection[MountedPart]) -> UsedMap:
    """About what is used of a disk whose parts `mounted` are in use."""
    numbers = {part.number for part in mounted if part.kind in _RUNNING}
    found = used_map(read_at, _only(disk, lambda number: number not in numbers), False)
    ranges = found.ranges
    for part in mounted:
        if part.kind in _RUNNING:
            ranges = _without(ranges, part, lambda inner, size, used=_RUNNING[part.kind]: used(inner, size).invert(size), read_at)
        if part.kind in _EXT:
            ranges = _without(ranges, part, lambda inner, size: idle(inner, size, running=True), read_at)
    return UsedMap(ranges, found.parts)


def _containers(disk: Disk) -> Set[int]:
    """The numbers of the partitions (0: the whole disk) that hold volumes and not one file system."""
    contents = [(0, disk.content)] + [(part.number, part.content) for part in disk.partitions]
    return {number for number, content in contents if content.kind in CONTAINERS}


def _without(ranges: Ranges, part: MountedPart, free: Callable[[ReadAt, int], Ranges], read_at: ReadAt) -> Ranges:
    """The ranges without what `free` finds in a part."""
    try:
        return ranges.minus(free(part_of(read_at, part.start, part.size), part.size).clip(0, part.size).shift(part.start))
    except SourceError:
        raise
    except Exception:            # Metadata that change while they are read may break any parser: then all counts as used.
        return ranges


def _only(disk: Disk, wanted: Callable[[int], bool]) -> Disk:
    """The disk as if nothing were known of the content of its other partitions."""
    unknown = Content("unknown")
    return disk._replace(
        content=disk.content if wanted(0) else unknown,
        partitions=tuple(part if wanted(part.number) else part._replace(content=unknown) for part in disk.partitions))
