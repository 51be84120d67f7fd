# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes: stretches of bytes that may hold something, and what is known of their used bytes."""

from typing import Callable, Iterator, NamedTuple, Optional, Sequence, Tuple

from ..errors import SourceError
from ..machine.disk import read_disk
from ..machine.model import Content, Disk, partition_name
from .mapread import MapUnknown, ReadAt, part_of
from .ranges import Ranges

WHOLE = "whole"


class Volume(NamedTuple):
    """A partition, a disk without a table, an array, a logical volume."""
    name: str            # sda1, md:data, vg/root
    size: int
    read_at: ReadAt      # offsets count from the start of the volume
    content: Content
    disk: str = ""       # the disk that it lies on in one piece, and the byte that it begins at; "": put together from several
    start: int = 0


class VolumeMap(NamedTuple):
    ranges: Ranges       # used bytes of the volume
    method: str          # "whole", or what was read to tell
    note: str = ""       # why it is read whole, or what else the operator should know


class Assembly(NamedTuple):
    """Volumes that make something up together."""
    members: Tuple[Volume, ...]
    volumes: Tuple[Volume, ...]                                                     # what they make up
    spread: Callable[[Sequence[VolumeMap]], Sequence[VolumeMap]]                    # maps of `volumes` to maps of `members`


def made_up(name: str, size: int, read_at: ReadAt) -> Volume:
    """A volume that was put together, with what it holds. A partitioned one is not looked into: it is likely the disk of a guest."""
    disk, _reason = attempt(read_disk, name, read_at, size)
    return Volume(name, size, read_at, disk.content if disk and disk.table == "none" else Content("unknown"))


def volumes_of(read_at: ReadAt, disk: Disk) -> Iterator[Tuple[int, Volume]]:
    """(number, volume) of each partition, cut to the disk; number 0 is the whole disk, where it has no table."""
    if disk.table == "none":
        yield 0, Volume(disk.name, disk.size, part_of(read_at, 0, disk.size), disk.content, disk.name)
        return
    for partition in disk.partitions:
        start = min(max(partition.start, 0), disk.size)
        size = min(max(partition.start + partition.size, start), disk.size) - start
        if size:
            name = partition_name(disk.name, partition.number)
            yield partition.number, Volume(name, size, part_of(read_at, start, size), partition.content, disk.name, start)


def whole(volume: Volume, note: str) -> VolumeMap:
    return VolumeMap(Ranges.whole(volume.size), WHOLE, note)


def attempt(function: Callable, *arguments) -> Tuple[Optional[object], str]:
    """(what the function returns, ""), or (None, why that cannot be told).

    Metadata is input from outside: whatever it does to a parser costs speed, never a capture. Only a SourceError passes.
    """
    try:
        return function(*arguments), ""
    except SourceError:
        raise
    except MapUnknown as reason:
        return None, str(reason)
    except Exception as error:
        return None, f"its metadata could not be parsed ({type(error).__name__}: {error})"
