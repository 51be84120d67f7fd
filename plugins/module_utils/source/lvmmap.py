# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Used-block maps of LVM2 physical volumes: extents of no logical volume are free; a plain logical volume is used as what it holds says."""

from heapq import merge
from typing import Dict, List, NamedTuple, Sequence, Tuple

from .lvm import VolumeGroup, read_groups
from .lvmgroup import LogicalVolume
from .mapread import MapUnknown
from .ranges import Ranges
from .stripes import composed, spread
from .volume import WHOLE, Assembly, Volume, VolumeMap, made_up

MAX_TOLD = 8        # logical volumes that a note names


class _Used(NamedTuple):
    """What is used of a logical volume."""
    volume: LogicalVolume
    ranges: Dict[int, Ranges]    # of the physical volumes
    kind: str                    # of the content that told, "": all of it is used
    note: str                    # why all of it is used


def assemble(members: Sequence[Volume]) -> Tuple[List[Assembly], Dict[Volume, str]]:
    """The volume groups of these physical volumes, and why some volumes are in none."""
    groups, outside = read_groups(members)
    by_name = {member.name: member for member in members}
    if len(by_name) != len(members):
        raise MapUnknown("two physical volumes lie on volumes of the same name")
    reasons = {by_name[name]: reason for name, reason in outside.items()}
    assemblies = []
    for group in groups:
        if group.problem:
            reasons.update((by_name[name], f"volume group {group.name}: {group.problem}") for name in group.members)
        else:
            assemblies.append(_assembly(group, tuple(by_name[physical.volume] for physical in group.physical_volumes)))
    return assemblies, reasons


def _assembly(group: VolumeGroup, members: Tuple[Volume, ...]) -> Assembly:
    readers = {index: member.read_at for index, member in enumerate(members)}
    plain = [volume for volume in group.logical_volumes if not volume.obstacle]
    opaque = [_Used(volume, _areas(volume), "", volume.obstacle) for volume in group.logical_volumes if volume.obstacle]
    volumes = tuple(made_up(f"{group.name}/{volume.name}", volume.size, composed(volume.segments, readers, volume.size))
                    for volume in plain)

    def spread_maps(maps: Sequence[VolumeMap]) -> List[VolumeMap]:
        used = opaque + [_Used(logical, spread(logical.segments, found.ranges),
                               "" if found.method == WHOLE else volume.content.kind, found.note)
                         for logical, volume, found in zip(plain, volumes, maps)]
        return [_member_map(group, index, member.size, used) for index, member in enumerate(members)]

    return Assembly(members, volumes, spread_maps)


def _areas(volume: LogicalVolume) -> Dict[int, Ranges]:
    return {member: Ranges((area.start, area.start + area.length) for area in volume.areas if area.member == member)
            for member in {area.member for area in volume.areas}}


def _member_map(group: VolumeGroup, index: int, size: int, used: Sequence[_Used]) -> VolumeMap:
    physical = group.physical_volumes[index]
    here = [each for each in used if index in each.ranges]
    outside = Ranges([(0, physical.data_start), (physical.data_end, size)]).union(physical.fixed)
    ranges = Ranges.ascending(merge(outside, *(each.ranges[index] for each in here)))
    told = [each for each in here if each.kind]
    method = f"lvm2: {len(told)} of {len(here)} LVs by {', '.join(sorted({each.kind for each in told})) or 'content'}"
    reasons = [f"{each.volume.name} ({each.note})" for each in here if not each.kind]
    more = f" and {len(reasons) - MAX_TOLD} more" if len(reasons) > MAX_TOLD else ""
    note = f"all extents of {', '.join(reasons[:MAX_TOLD])}{more} are used" if reasons else ""
    return VolumeMap(ranges, method, note)
