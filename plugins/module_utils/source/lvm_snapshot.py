# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of the logical volumes of a running machine, so that they stand still while they are read as long as it takes.

A snapshot is what LVM's own would be in the kernel: the volume's table becomes `snapshot-origin` over a second mapping of the same extents,
and what is overwritten is copied to a reserve before. But lvcreate(8) would freeze each file system itself, which kernels before 6.8 refuse
for one that is frozen already (EBUSY), so that several volumes could not stand still together; and it would have to be started
while the root is frozen. So the reserves are made by LVM beforehand, as plain volumes, and the tables are exchanged by us. LVM's metadata
never knows of a snapshot, and after a crash there is none: tables live in memory.

Thin volumes are held by holding their pool: its metadata and its data are such volumes themselves. What the file systems flush when they
are frozen the pool has committed (drivers/md/dm-thin.c); what a pool that is used otherwise commits meanwhile finds its data older, as
after a power failure.

The image gets the label and metadata areas of the physical volumes as they were before the reserves were made.
"""

import os
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from ..errors import SourceError
from ..machine.disk import read_disk
from . import devmapper, lvm_commands
from .consistency import Area, Piece, Snapshots
from .devmapper import Target
from .hostdisks import LVM, Host
from .lvm import VolumeGroup, read_volume_groups
from .lvm_leftovers import PREFIX, REAL, Guard
from .lvmgroup import POOL_PART, LogicalVolume
from .mapread import ReadAt
from .ranges import Ranges
from .stripes import Segment, spread
from .thinpool import allocated
from .usedmap import used_map
from .volume import attempt

_UUID = "AGNOSTIC.RECOVERY-"
_CHUNK = 16               # sectors that are copied together when one of them is overwritten
_SMALLEST = 32 << 20      # bytes of a reserve
_SECTOR = 512
_UUID_LENGTH = 32         # of a group or volume, without its dashes
_POOL_METADATA = "_tmeta"


class Origin(NamedTuple):
    """A logical volume of which a snapshot is made; also one that is the metadata or the data of a thin pool."""
    group: VolumeGroup
    volume: LogicalVolume
    device: str           # its name in device mapper
    reserve: int          # bytes for what is overwritten meanwhile, whole extents

    @property
    def label(self):
        return f"{self.group.name}/{self.volume.name}"

    @property
    def reserve_name(self):
        """In LVM, which keeps "_tdata" and the like in names for itself."""
        pool, _mark, part = self.volume.name.rpartition("_")
        return PREFIX + (f"{pool}.{part}" if self.volume.obstacle == POOL_PART else self.volume.name)


def find_origins(disks: Sequence, host: Host, percent: int) -> Tuple[Origin, ...]:
    """The logical volumes with mounted file systems that lie on these disks in plain stretches; each gets `percent` of its size as reserve.

    disks: each with read_at and its model. For thin volumes it is their pool, metadata before data. RAID and cached volumes, and groups on
    arrays or LUKS, are not among them: they are read while everything is frozen.
    Raises SourceError.
    """
    used = {name for use in host.uses if use.place != "swap" for name in _chain(host, use.device)}
    devices = {_volume_uuid(device.mapper_uuid): device for device in host.devices.values() if device.name in used}
    if not any(uuid.startswith(LVM) for uuid in devices):
        return ()
    found = []
    for group in read_volume_groups([(disk.read_at, disk.model) for disk in disks]):
        for volume in group.logical_volumes:
            device = devices.get(LVM + group.uuid.replace("-", "") + volume.uuid.replace("-", ""))
            if device and volume.segments and all(target.kind in ("linear", "striped") for target in devmapper.table(device.mapper)):
                extents = -(-_reserve(volume.size, percent) // group.extent_size)
                found.append(Origin(group, volume, device.mapper, extents * group.extent_size))
    return tuple(sorted(found, key=lambda origin: not origin.device.endswith(_POOL_METADATA)))


def _reserve(size: int, percent: int) -> int:
    """Bytes; never more than it takes to keep all of the volume, and a list with 16 bytes for each chunk."""
    return min(max(size * percent // 100, _SMALLEST), size + size // 256 + (1 << 20))


def _volume_uuid(mapper_uuid: str) -> str:
    """LVM adds the role of a hidden volume to the uuids of group and volume: "-tdata", "-tmeta" (lvm2 lib/activate/dev_manager.c)."""
    return mapper_uuid[:len(LVM) + 2 * _UUID_LENGTH]


def shortage(origins: Sequence[Origin]) -> str:
    """What the volume groups lack of the room for the reserves, "" if nothing. Raises SourceError."""
    states = lvm_commands.group_states() if origins else {}
    for name in sorted({origin.group.name for origin in origins}):
        own = [origin for origin in origins if origin.group.name == name]
        state = states[name]
        needed = sum(origin.reserve for origin in own)
        if needed > state.free:
            return (f"The volume group {name} has {state.free >> 20} MiB free, and the snapshots of "
                    f"{', '.join(origin.volume.name for origin in own)} need {needed >> 20} MiB: {(needed - state.free) >> 20} MiB are "
                    "missing. Add a physical volume, lower snapshot_reserve, or capture without snapshots.")
    return ""


def _chain(host: Host, name: str) -> List[str]:
    return [name] + [lower for below in host.devices[name].below if below in host.devices for lower in _chain(host, below)]


class LvmSnapshots(Snapshots):
    """Snapshots of `origins`, all at one moment. `disks`: the captured ones, each with name and read_at."""

    def __init__(self, disks: Sequence, origins: Sequence[Origin]):
        self._readers = {disk.name: disk.read_at for disk in disks}
        self._origins = tuple(origins)
        self._guard = Guard()
        self._fixed = ()                                  # type: Tuple[Piece, ...]
        self._seqno = {}                                  # type: Dict[str, int]
        self._open = []                                   # type: List[int]

    def check(self) -> None:
        """Also makes the reserves, so that nobody else takes the room."""
        self._guard.begin()
        try:
            missing = shortage(self._origins)
            if missing:
                raise SourceError(missing)
            for group in _groups(self._origins):
                if _seqnos().get(group.name) != group.seqno:
                    raise SourceError(f"The volume group {group.name} was changed when the capture began. Capture again.")
            self._fixed = tuple(self._keep(area) for area in _metadata_areas(_groups(self._origins)))
            for origin in self._origins:
                lvm_commands.create_volume(origin.group.name, origin.reserve_name, origin.reserve)
                self._prepare(origin)
            self._seqno = _seqnos()
        except BaseException:
            self.remove()
            raise

    def areas(self) -> Tuple[Area, ...]:
        """Beside the volumes: the metadata, and the free extents, from which the reserves are taken."""
        groups = _groups(self._origins)
        return tuple(_metadata_areas(groups)) + tuple(_free_areas(groups)) + tuple(
            column.area for origin in self._origins for column in columns_of(origin))

    def create(self) -> None:
        if any(origin.volume.obstacle == POOL_PART for origin in self._origins):
            _commit_pools()
        for origin in self._origins:
            devmapper.exchange(PREFIX + origin.device)
            devmapper.load(origin.device, (_origin_target(origin, _number(PREFIX + origin.device + REAL)),))
            devmapper.exchange(origin.device, uevent=0)

    def pieces(self) -> Tuple[Piece, ...]:
        found = list(self._fixed) + [Piece(area, Ranges(), _read_zeros) for area in _free_areas(_groups(self._origins))]
        held = {(origin.group.uuid, origin.volume.name): Held(origin.volume, self._reader(PREFIX + origin.device, origin.volume.size))
                for origin in self._origins}
        for origin in self._origins:
            volume, read_at = held[origin.group.uuid, origin.volume.name]
            used = spread(volume.segments, used_of(volume, read_at, held.get((origin.group.uuid, volume.metadata))))
            for column in columns_of(origin):
                ranges = used[column.member].shift(column.shift).clip(column.area.start, column.area.start + column.area.size)
                found.append(Piece(column.area, ranges, column_reader(column, read_at)))
        return tuple(found)

    def evidence(self) -> dict:
        return {"provider": "lvm", "volumes": [{"name": origin.label, "reserve": origin.reserve} for origin in self._origins]}

    def overflowed(self) -> str:
        for origin in self._origins:
            state = devmapper.status(PREFIX + origin.device)[0].parameters
            if "/" not in state:          # "Invalid", "Overflow": Documentation/admin-guide/device-mapper/snapshot.rst
                return (f"The snapshot of {origin.label} overflowed: more was written than its reserve of {origin.reserve >> 20} MiB "
                        "holds. Raise snapshot_reserve, or capture when less is written.")
            if devmapper.table(origin.device) != (_origin_target(origin, _number(PREFIX + origin.device + REAL)),):
                return f"The volume {origin.label} was changed while it was captured. Capture again."
        now = _seqnos()
        for group in _groups(self._origins):
            if now.get(group.name) != self._seqno[group.name]:
                return f"The volume group {group.name} was changed while it was captured. Capture again."
        return ""

    def remove(self) -> None:
        while self._open:
            os.close(self._open.pop())
        self._guard.end()

    # -- parts

    def _keep(self, area):
        data = self._readers[area.disk](area.start, area.size)
        return Piece(area, Ranges([(area.start, area.start + area.size)]),
                     lambda offset, length: data[offset - area.start:offset - area.start + length])

    def _prepare(self, origin):
        """Make all that is not yet felt: the second mapping, and the snapshot without effect."""
        name = PREFIX + origin.device
        real = devmapper.create(name + REAL, _UUID + origin.device + REAL, devmapper.table(origin.device))
        reserve = _number(_reserve_device(origin))
        table = Target(0, origin.volume.size // _SECTOR, "snapshot", f"{real.number} {reserve} N {_CHUNK}")
        devmapper.create(name, _UUID + origin.device, (table,), resume=False)

    def _reader(self, name, size) -> ReadAt:
        fd = os.open(_node(_number(name)), os.O_RDONLY | os.O_CLOEXEC)
        self._open.append(fd)

        def read_at(offset, length):
            wanted = max(0, min(length, size - offset))
            data = os.pread(fd, wanted, offset)
            if len(data) != wanted:
                raise SourceError(f"The snapshot {name} ended at byte {offset + len(data)}.")
            return data
        return read_at


class Held(NamedTuple):
    """A logical volume as its snapshot holds it."""
    volume: LogicalVolume
    read_at: ReadAt


class Column(NamedTuple):
    """A stretch of a disk that holds (every n-th chunk of) a segment of a logical volume."""
    area: Area
    member: int           # number of the physical volume
    shift: int            # of the physical volume's first byte on the disk
    segment: Segment
    index: int            # which of the segment's columns


def columns_of(origin: Origin) -> List[Column]:
    """Where the volume lies."""
    found = []
    for segment in origin.volume.segments:
        for index, (place,) in enumerate(segment.columns):
            physical = origin.group.physical_volumes[place.member]
            area = Area(physical.disk, physical.start + place.start, segment.length // len(segment.columns))
            found.append(Column(area, place.member, physical.start, segment, index))
    return found


def column_reader(column: Column, read_volume: ReadAt) -> ReadAt:
    """read_at of the column's disk, inside of its area, from what `read_volume` reads of the logical volume."""
    segment = column.segment
    chunk = segment.chunk if len(segment.columns) > 1 else segment.length

    def read_at(offset: int, length: int) -> bytes:
        parts = []
        while length:
            row, rest = divmod(offset - column.area.start, chunk)
            step = min(length, chunk - rest)
            parts.append(read_volume(segment.offset + (row * len(segment.columns) + column.index) * chunk + rest, step))
            offset, length = offset + step, length - step
        return b"".join(parts)
    return read_at


def used_of(volume: LogicalVolume, read_at: ReadAt, pool_metadata: Optional[Held]) -> Ranges:
    """The used bytes of a volume that stands still. `pool_metadata`: of the data of a thin pool, held since the same moment."""
    if volume.obstacle != POOL_PART:
        return used_map(read_at, read_disk(volume.name, read_at, volume.size), frozen=True).ranges
    # Its first block looks like that of some thin volume: it tells nothing.
    found = None
    if pool_metadata:
        found, _reason = attempt(allocated, pool_metadata.read_at, pool_metadata.volume.size, volume.size)
    return Ranges.whole(volume.size) if found is None else found


def _read_zeros(_offset: int, length: int) -> bytes:
    return bytes(length)


def _groups(origins: Sequence[Origin]) -> List[VolumeGroup]:
    return list({origin.group.uuid: origin.group for origin in origins}.values())


def _seqnos() -> Dict[str, int]:
    return {name: state.seqno for name, state in lvm_commands.group_states().items()}


def _metadata_areas(groups: Sequence[VolumeGroup]) -> List[Area]:
    return [Area(physical.disk, start, end - start) for group in groups for physical in group.physical_volumes
            for start, end in physical.fixed.shift(physical.start)]


def _free_areas(groups: Sequence[VolumeGroup]) -> List[Area]:
    """The extents that no volume has."""
    found = []
    for group in groups:
        for number, physical in enumerate(group.physical_volumes):
            taken = sorted((area.start, area.start + area.length) for volume in group.logical_volumes for area in volume.areas
                           if area.member == number)
            free = Ranges([(physical.data_start, physical.data_end)]).minus(Ranges(taken))
            found += [Area(physical.disk, start, end - start) for start, end in free.shift(physical.start)]
    return found


def _origin_target(origin: Origin, real: str) -> Target:
    return Target(0, origin.volume.size // _SECTOR, "snapshot-origin", real)


def _reserve_device(origin: Origin) -> str:
    """LVM's name for it in device mapper: dashes inside the names of group and volume are doubled."""
    return "-".join(name.replace("-", "--") for name in (origin.group.name, origin.reserve_name))


def _commit_pools() -> None:
    """A flush of a thin volume makes its pool write what metadata it holds in memory."""
    for device in devmapper.devices():
        if any(target.kind == "thin" for target in devmapper.table(device.name)):
            fd = os.open(_node(device.number), os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _node(number: str) -> str:
    return f"/dev/dm-{number.split(':')[1]}"


def _number(name: str) -> str:
    return next(device.number for device in devmapper.devices() if device.name == name)
