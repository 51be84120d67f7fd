# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Linux MD arrays: what their members make up, and which bytes of the members that uses.

Only an array that is complete, clean and at rest is put together; its members are used whole otherwise. Of levels with stripes whole rows
are kept, so parity and copies stay right. Layouts: drivers/md/raid0.c, raid5.c (raid5_compute_sector), raid10.c.
"""

from typing import Dict, List, Sequence, Tuple

from .mapread import MapUnknown, ReadAt
from .mdsuper import Superblock, read_superblock
from .ranges import Ranges
from .stripes import Place, Segment, composed, spread
from .volume import WHOLE, Assembly, Volume, VolumeMap, attempt, made_up

PARITIES = {4: 1, 5: 1, 6: 2}       # parity disks by level
LEFT_ASYMMETRIC, RIGHT_ASYMMETRIC, LEFT_SYMMETRIC, RIGHT_SYMMETRIC = range(4)
RAID10_ONLY_NEAR = 0x100            # layout: near copies in the low byte, one far copy, no flags

Member = Tuple[Volume, Superblock]


def assemble(volumes: Sequence[Volume]) -> Tuple[List[Assembly], Dict[Volume, str]]:
    """The arrays of these members, and why some volumes are part of none."""
    arrays: Dict[Tuple[str, str], List[Member]] = {}
    reasons: Dict[Volume, str] = {}
    for volume in volumes:
        superblock, reason = attempt(read_superblock, volume.read_at, volume.size)
        if superblock is None:
            reasons[volume] = reason
        else:
            arrays.setdefault((superblock.version, superblock.array), []).append((volume, superblock))
    assemblies = []
    for members in arrays.values():
        assembly, reason = attempt(_assembly, members)
        if assembly is None:
            reasons.update((volume, f"MD array: {reason}") for volume, _superblock in members)
        else:
            assemblies.append(assembly)
            reasons.update((volume, "a spare of its MD array") for volume, superblock in members if superblock.role is None)
    return assemblies, reasons


def _assembly(found: Sequence[Member]) -> Assembly:
    members = _in_order(found)
    first = members[0][1]
    segment = _segment(members)
    readers = {index: volume.read_at for index, (volume, _superblock) in enumerate(members)}
    read_at = _rotating(members, readers, segment) if first.level in (5, 6) else composed([segment], readers, segment.length)
    array = made_up(f"md raid{first.level} {first.array}", segment.length, read_at)

    def spread_maps(maps: Sequence[VolumeMap]) -> List[VolumeMap]:
        used = spread([segment], maps[0].ranges)
        return [_member_map(volume, superblock, used[index], maps[0]) for index, (volume, superblock) in enumerate(members)]

    return Assembly(tuple(volume for volume, _superblock in members), (array,), spread_maps)


def _member_map(volume: Volume, superblock: Superblock, used: Ranges, of_array: VolumeMap) -> VolumeMap:
    free = Ranges([(superblock.data_start, superblock.data_start + superblock.data_size)]).intersect(used.invert(volume.size))
    level = f"md raid{superblock.level}"
    if of_array.method == WHOLE:
        return VolumeMap(free.invert(volume.size), WHOLE, f"{level}: {of_array.note}")
    return VolumeMap(free.invert(volume.size), f"{level}: {of_array.method}", of_array.note)


def _in_order(found: Sequence[Member]) -> List[Member]:
    """The members by their roles; MapUnknown where the array is not complete, clean and at rest."""
    active = sorted((member for member in found if member[1].role is not None), key=lambda member: member[1].role)
    if not active:
        raise MapUnknown("it has no active member")
    first = active[0][1]
    if [superblock.role for _volume, superblock in active] != list(range(first.disks)):
        raise MapUnknown(f"not all of its {first.disks} members are here and in sync")
    for _volume, superblock in active:
        if superblock.obstacle:
            raise MapUnknown(superblock.obstacle)
        if superblock.events != first.events or not superblock.clean and superblock.level > 0:
            raise MapUnknown("it was not stopped cleanly, or is being written or synchronised")
        if superblock[:6] != first[:6]:
            raise MapUnknown("its superblocks contradict each other")
    return active


def _segment(members: Sequence[Member]) -> Segment:
    """The address space of the array. For levels with parity only the rows are right, not which column is where."""
    first = members[0][1]
    size = min(superblock.data_size for _volume, superblock in members)
    if first.level == 1:
        return Segment(0, size, 0, (_places(members),))
    if first.chunk < 512 or first.chunk & (first.chunk - 1):
        raise MapUnknown("its chunk size makes no sense")
    rows = size // first.chunk
    if first.level == 0:
        if any(superblock.data_size // first.chunk != rows for _volume, superblock in members):
            raise MapUnknown("a raid0 over members of different sizes")
        columns = tuple(_places([member]) for member in members)
    elif first.level == 10:
        copies = first.layout & 0xFF
        if first.layout & ~0xFF != RAID10_ONLY_NEAR or not copies or len(members) % copies:
            raise MapUnknown(f"the raid10 layout {first.layout:#x} over {len(members)} members is not known")
        columns = tuple(_places(members[index:index + copies]) for index in range(0, len(members), copies))
    elif first.level in PARITIES and len(members) > PARITIES[first.level] + 1:
        if first.layout > RIGHT_SYMMETRIC and first.level != 4:
            raise MapUnknown(f"the raid{first.level} layout {first.layout} is not known")
        data = len(members) - PARITIES[first.level]
        columns = tuple(_places([member]) for member in members[:data - 1]) + (_places(members[data - 1:]),)
    else:
        raise MapUnknown(f"MD level {first.level} is not known")
    return Segment(0, rows * first.chunk * len(columns), first.chunk, columns)


def _places(members: Sequence[Member]) -> Tuple[Place, ...]:
    return tuple(Place(superblock.role, superblock.data_start) for _volume, superblock in members)


def _rotating(members: Sequence[Member], readers: Dict[int, ReadAt], segment: Segment) -> ReadAt:
    """read_at over raid5 or raid6, whose parity moves from row to row."""
    level, layout, chunk = members[0][1].level, members[0][1].layout, segment.chunk

    def read_at(offset: int, length: int) -> bytes:
        end = max(offset, min(offset + length, segment.length))
        parts = []
        while offset < end:
            number, rest = divmod(offset, chunk)
            row, column = divmod(number, len(segment.columns))
            role = data_role(level, layout, len(members), row, column)
            count = min(chunk - rest, end - offset)
            parts.append(readers[role](members[role][1].data_start + row * chunk + rest, count))
            offset += count
        return b"".join(parts)

    return read_at


def data_role(level: int, layout: int, disks: int, row: int, column: int) -> int:
    """Which member of a raid5 or raid6 has the data of a column in a row."""
    turn = row % disks
    parity = turn if layout in (RIGHT_ASYMMETRIC, RIGHT_SYMMETRIC) else disks - 1 - turn
    if layout in (LEFT_SYMMETRIC, RIGHT_SYMMETRIC):
        return (parity + PARITIES[level] + column) % disks
    if level == 6 and parity == disks - 1:      # the second parity is on the first member then
        return column + 1
    return column + PARITIES[level] if column >= parity else column
