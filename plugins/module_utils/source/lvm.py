# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LVM2 volume groups, read from the disks themselves: physical volumes, logical volumes and where their bytes lie.

All copies of the metadata are read; the newest wins, as it does for LVM. A group that lacks a physical volume, or whose copies contradict
each other, has a `problem` and no logical volumes.
"""

from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ..machine.model import Disk
from .lvmgroup import Extents, LogicalVolume, Section, parse_logical_volumes, section_of, text_of, whole_number
from .lvmlabel import SECTOR, Label, read_label
from .mapread import MapUnknown, ReadAt
from .ranges import Ranges
from .stripes import pieces
from .volume import Volume, attempt, volumes_of

MAX_SECTORS = 1 << 54


class PhysicalVolume(NamedTuple):
    uuid: str
    volume: str          # name of the partition, disk, array that it is
    disk: str            # where it lies in one piece: the disk, and its first byte there; "": on several
    start: int
    data_start: int      # byte of the physical volume at which its extents begin
    data_end: int
    fixed: Ranges        # of the physical volume: label and metadata areas


class VolumeGroup(NamedTuple):
    name: str
    uuid: str
    seqno: int
    extent_size: int                                     # bytes
    members: Tuple[str, ...]                             # names of the volumes that belong to it
    physical_volumes: Tuple[PhysicalVolume, ...]         # what `member` of Area and Place counts
    logical_volumes: Tuple[LogicalVolume, ...]
    problem: str = ""                                    # why no physical and logical volumes are told, "" if they are


class Extent(NamedTuple):
    """A run of a logical volume that lies in one piece on a disk. All numbers are bytes."""
    disk: str
    start: int           # of the disk
    length: int
    offset: int          # of the logical volume


class _Copy(NamedTuple):
    """The metadata of a group as one metadata area has it."""
    name: str
    section: Section
    seqno: int


def read_volume_groups(disks: Sequence[Tuple[ReadAt, Disk]]) -> List[VolumeGroup]:
    """The volume groups on these disks, each disk given as (read_at, model of machine.disk.read_disk).

    Physical volumes are looked for on disks and in partitions, not inside arrays. Raises SourceError where a disk cannot be read; damaged
    metadata never raises, it is the `problem` of a group.
    """
    return read_groups([volume for read_at, disk in disks for _number, volume in volumes_of(read_at, disk)
                        if volume.content.kind == "lvm2"])[0]


def extents(group: VolumeGroup, volume: LogicalVolume, start: int = 0, end: Optional[int] = None) -> Iterator[Extent]:
    """Where the bytes [start, end) of a plain logical volume are, in order of their offsets; of stripes one chunk after the other."""
    for piece in pieces(volume.segments, start, volume.size if end is None else end):
        place = piece.places[0]
        physical = group.physical_volumes[place.member]
        yield Extent(physical.disk, physical.start + place.start, piece.length, piece.offset)


def read_groups(volumes: Sequence[Volume]) -> Tuple[List[VolumeGroup], Dict[str, str]]:
    """(groups that these physical volumes form, why a volume belongs to none, by its name)."""
    labelled: List[Tuple[Volume, Label]] = []
    reasons: Dict[str, str] = {}
    for volume in volumes:
        label, reason = attempt(read_label, volume.read_at, volume.size)
        if label is None:
            reasons[volume.name] = reason
        else:
            labelled.append((volume, label))
    groups = [_group(uuid, copies, labelled) for uuid, copies in sorted(_copies(labelled, reasons).items())]
    owners: Dict[str, List[VolumeGroup]] = {}
    for group in groups:
        for name in group.members:
            owners.setdefault(name, []).append(group)
    for volume, label in labelled:
        if volume.name not in owners:
            reasons.setdefault(volume.name, label.damage or "no volume group names it")
    return [_without_volumes(group, "a physical volume is claimed by two groups")
            if any(len(owners[name]) > 1 for name in group.members) else group for group in groups], reasons


def _copies(labelled: Sequence[Tuple[Volume, Label]], reasons: Dict[str, str]) -> Dict[str, List[_Copy]]:
    """The copies of each group's metadata by the group's UUID."""
    found: Dict[str, List[_Copy]] = {}
    for volume, label in labelled:
        for text in label.texts:
            copy, reason = attempt(_copy, text)
            if copy is None:
                reasons[volume.name] = reason
            else:
                found.setdefault(text_of(copy.section, "id"), []).append(copy)
    return found


def _copy(text: Section) -> _Copy:
    sections = [(name, value) for name, value in text.items() if isinstance(value, dict)]
    if len(sections) != 1 or text.get("contents") != "Text Format Volume Group" or text.get("version") != 1:
        raise MapUnknown("the LVM metadata does not describe one volume group in a known version")
    name, section = sections[0]
    text_of(section, "id")
    return _Copy(name, section, whole_number(section, "seqno"))


def _group(uuid: str, copies: Sequence[_Copy], labelled: Sequence[Tuple[Volume, Label]]) -> VolumeGroup:
    newest = max(copies, key=lambda copy: copy.seqno)
    wanted, reason = attempt(_physical_uuids, newest.section)
    members = [(volume, label) for volume, label in labelled
               if label.uuid in (wanted or {}).values() or any(uuid in _group_ids(text) for text in label.texts)]
    bare = VolumeGroup(newest.name, uuid, newest.seqno, 0, tuple(volume.name for volume, _label in members), (), ())
    if wanted is None:
        return bare._replace(problem=reason)
    if any(copy != newest for copy in copies if copy.seqno == newest.seqno):
        return bare._replace(problem="copies of its metadata contradict each other")
    group, reason = attempt(_complete, bare, newest.section, wanted, members)
    return bare._replace(problem=reason) if group is None else group


def _group_ids(text: Section) -> List[object]:
    return [value.get("id") for value in text.values() if isinstance(value, dict)]


def _without_volumes(group: VolumeGroup, problem: str) -> VolumeGroup:
    return group._replace(physical_volumes=(), logical_volumes=(), problem=problem)


def _physical_uuids(section: Section) -> Dict[str, str]:
    """UUID, as labels have it, of each physical volume by its name in the metadata."""
    sections = section_of(section, "physical_volumes")
    return {name: text_of(section_of(sections, name), "id").replace("-", "") for name in sections}


def _complete(group: VolumeGroup, section: Section, wanted: Dict[str, str], members: Sequence[Tuple[Volume, Label]]) -> VolumeGroup:
    """The group with its volumes; MapUnknown where it is not complete and sound."""
    extent_size = whole_number(section, "extent_size", MAX_SECTORS) * SECTOR
    if not extent_size:
        raise MapUnknown("extent_size of the LVM metadata makes no sense")
    sections = section_of(section, "physical_volumes")
    physical: List[PhysicalVolume] = []
    extents_of: Dict[str, Extents] = {}
    for name, uuid in wanted.items():
        found = [(volume, label) for volume, label in members if label.uuid == uuid]
        if len(found) != 1:
            raise MapUnknown(f"physical volume {name} is {'there twice' if found else 'missing'}")
        described = section_of(sections, name)
        extents_of[name] = _extents(described, len(physical), extent_size)
        physical.append(_physical_volume(described, extents_of[name], *found[0]))
    if len(members) != len(physical):
        raise MapUnknown("a physical volume has older metadata of the group, which does not name it any more")
    return group._replace(extent_size=extent_size, physical_volumes=tuple(physical), logical_volumes=parse_logical_volumes(
        section_of(section, "logical_volumes"), extents_of, extent_size))


def _extents(described: Section, member: int, extent_size: int) -> Extents:
    return Extents(member, whole_number(described, "pe_start", MAX_SECTORS) * SECTOR, whole_number(described, "pe_count"), extent_size)


def _physical_volume(described: Section, found: Extents, volume: Volume, label: Label) -> PhysicalVolume:
    end = found.start + found.count * found.size
    if label.damage:
        raise MapUnknown(label.damage)
    if "MISSING" in (described.get("flags") or []):
        raise MapUnknown(f"physical volume {volume.name} was missing when the metadata was written")
    if end > volume.size or label.fixed.clip(found.start, end):
        raise MapUnknown(f"the extents of physical volume {volume.name} lie outside of it or over its metadata")
    return PhysicalVolume(label.uuid, volume.name, volume.disk, volume.start, found.start, end, label.fixed)
