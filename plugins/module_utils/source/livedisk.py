# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk of a running machine: what of it is used, and what has changed since it was last looked at."""

from typing import Collection, List, NamedTuple, Sequence, Tuple

from ..errors import SourceError
from ..machine.disk import read_disk
from ..machine.model import Disk
from .consistency import Area
from .disk import DiskSource
from .hostmap import CapturedDisk, HostFilesystem, partition_device, served_over_nfs, swap_files
from .livemap import MountedPart, frozen_map, running_map
from .mapread import part_of
from .ranges import Ranges
from .usedmap import PartMap
from .watch import CountWatch, FileWatch, Moment, TransactionWatch, reader_of
from .writecount import writes_beside_partitions, writes_to


class Look(NamedTuple):
    """A disk as it is now, without what snapshots hold."""
    ranges: Ranges               # used bytes
    dirty: Ranges                # those that may have changed since the last mark
    parts: Tuple[PartMap, ...]


class LiveDisk:
    """`read_at` gives what is on the disk now."""

    def __init__(self, source: DiskSource, filesystems: Sequence[HostFilesystem]):
        """`filesystems`: all that are mounted from it (hostmap)."""
        self.name, self.size, self.sector_size, self.path = source.name, source.size, source.sector_size, source.path
        self._source = source
        self._direct = source.direct()
        self.read_at = self._direct.read_at
        self.model = self._read_model()
        self.left_out = Ranges()
        self._own = [item for item in filesystems if any(area.disk == self.name for area in item.place.areas)]
        self._mounted = list(self._mounted_parts())
        self._watches = list(self._make_watches())

    def leave_out(self, areas: Sequence[Area]) -> None:
        """These areas will be read from snapshots."""
        self.left_out = Ranges((area.start, area.start + area.size) for area in areas if area.disk == self.name)

    def close(self) -> None:
        self._direct.close()

    def refresh(self) -> None:
        """To be called after each freeze, before anything is read."""
        if not self._direct.is_direct:
            self._source.refresh()

    def look(self, frozen: bool, unable: Collection[str] = ()) -> Look:
        """`frozen`: the mounted file systems stand still, save those mounted at `unable`. SourceError: not the disk that it was."""
        if frozen:
            if _geometry(self._read_model()) != _geometry(self.model):
                raise SourceError(f"The partition table of disk {self.name} was changed during the capture. Run it again.")
            found = frozen_map(self.read_at, self.model, self._frozen_numbers(unable), self._mounted)
        else:
            found = running_map(self.read_at, self.model, self._mounted)
        ranges = found.ranges.minus(self.left_out)
        clean = Ranges()
        for watch in self._watches:
            clean = clean.union(watch.look())
        return Look(ranges, ranges.minus(clean), found.parts)

    def mark(self, moment: Moment) -> None:
        """Everything was frozen at this moment, after the last look, and nothing has been read since."""
        for watch in self._watches:
            watch.mark(moment)

    def dirty_of(self, filesystem: HostFilesystem, dirty: Ranges) -> int:
        """How many of the dirty bytes are those of a file system."""
        return sum(dirty.clip(area.start, area.start + area.size).total for area in filesystem.place.areas if area.disk == self.name)

    def notes(self) -> List[str]:
        """Why the last look proved nothing, where it did not."""
        return [watch.note for watch in self._watches if watch.note]

    # -- the parts of the disk ------------------------------------------------------------------------------------------------

    def _read_model(self) -> Disk:
        return read_disk(self.name, self._direct.read_at, self.size, self.sector_size)

    def _parts(self) -> List[Tuple[int, int, int]]:
        """(number, start, size) of each partition, or of the whole disk."""
        if self.model.table == "none":
            return [(0, 0, self.size)]
        return [(part.number, part.start, min(part.size, self.size - part.start))
                for part in self.model.partitions if part.start < self.size]

    def _mounted_parts(self):
        for number, start, size in self._parts():
            for item in self._own:
                if item.writable and item.place.direct and item.place.areas[0].start == start:
                    yield MountedPart(number, item.kind, start, size)

    def _frozen_numbers(self, unable: Collection[str]) -> List[int]:
        """Partitions on which something writable is mounted, all of it frozen."""
        return [number for number, start, size in self._parts()
                if any(self._writable_on(start, size)) and not any(item.path in unable for item in self._writable_on(start, size))]

    def _writable_on(self, start: int, size: int) -> List[HostFilesystem]:
        return [item for item in self._own if item.writable and any(
            area.disk == self.name and area.start < start + size and start < area.start + area.size for area in item.place.areas)]

    def _make_watches(self):
        disk = CapturedDisk(self.name, self.path, self.size)
        for _number, start, size in self._parts():
            mounted = self._writable_on(start, size)
            only = mounted[0] if len(mounted) == 1 and mounted[0].place.direct else None
            reader = reader_of(only.kind, only.options) if only else None
            ranges = Ranges([(start, start + size)])
            if reader is not None:
                yield _file_watch(only, self.read_at, reader)
                continue
            if only and only.kind == "btrfs":
                area = only.place.areas[0]
                yield TransactionWatch(area, part_of(self.read_at, area.start, area.size))
                continue
            device = only.device if only else partition_device(disk, start, size)
            if device:
                yield CountWatch(ranges, lambda device=device: writes_to(device))
        gaps = Ranges((start, start + size) for _number, start, size in self._parts()).invert(self.size)
        device = partition_device(disk, 0, self.size)
        if gaps and device:
            yield CountWatch(gaps, lambda: writes_beside_partitions(device))


def _file_watch(filesystem: HostFilesystem, read_at, reader) -> FileWatch:
    area = filesystem.place.areas[0]

    def skip() -> frozenset:
        return frozenset(swap_files().get(filesystem.mount_device, ()))

    def unsure() -> str:
        return "NFS clients use it" if filesystem.mount_device in served_over_nfs() else ""

    return FileWatch(area, part_of(read_at, area.start, area.size), reader, skip, unsure)


def _geometry(disk: Disk):
    return disk.table, [(part.number, part.start, part.size) for part in disk.partitions]
