# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maps of volumes that lie in each other: file systems on logical volumes on arrays on partitions.

One layer is taken off after the other: members are put together to what they make up, that is mapped, and its map is spread over the
members again. What cannot be put together is used whole.
"""

from typing import Callable, Dict, List, Sequence, Tuple

from . import btrfs, ext, fat, lvmmap, md, swap, xfs
from .mapread import ReadAt
from .ranges import Ranges
from .volume import Assembly, Volume, VolumeMap, attempt, whole

# Content kind -> used(read_at, size, frozen) -> (ranges, method), or raises MapUnknown.
PARSERS: Dict[str, Callable[[ReadAt, int, bool], Tuple[Ranges, str]]] = {
    "ext2": ext.used,
    "ext3": ext.used,
    "ext4": ext.used,
    "xfs": xfs.used,
    "swap": swap.used,
    "vfat": fat.used,
}
# Content kind -> assemble(members) -> (what they make up, why a member is part of nothing).
LAYERS: Tuple[Tuple[str, Callable[[Sequence[Volume]], Tuple[List[Assembly], Dict[Volume, str]]]], ...] = (
    ("md", md.assemble),
    ("lvm2", lvmmap.assemble),
)
MAX_DEPTH = 8       # layers; metadata can name themselves as what they hold


def map_volumes(volumes: Sequence[Volume], frozen: bool, depth: int = 0) -> Dict[Volume, VolumeMap]:
    """The map of each of the volumes, which together are all of a machine. Never raises for damaged metadata; SourceError passes."""
    for kind, assemble in LAYERS:
        members = [volume for volume in volumes if volume.content.kind == kind]
        if members and depth < MAX_DEPTH:
            return _map_layer(members, [volume for volume in volumes if volume.content.kind != kind], assemble, frozen, depth)
    devices = [volume for volume in volumes if volume.content.kind == "btrfs"]
    maps = {volume: _map_content(volume, frozen) for volume in volumes if volume.content.kind != "btrfs"}
    maps.update(btrfs.map_devices(devices))
    return maps


def _map_layer(members: Sequence[Volume], others: Sequence[Volume], assemble, frozen: bool, depth: int) -> Dict[Volume, VolumeMap]:
    made, failure = attempt(assemble, members)
    assemblies, reasons = made or ([], {})
    inner = map_volumes(list(others) + [volume for assembly in assemblies for volume in assembly.volumes], frozen, depth + 1)
    maps = {volume: whole(volume, reasons.get(volume, failure)) for volume in members}
    maps.update((volume, inner[volume]) for volume in others)
    for assembly in assemblies:
        found, reason = attempt(assembly.spread, [inner[volume] for volume in assembly.volumes])
        for member, each in zip(assembly.members, found or [whole(member, reason) for member in assembly.members]):
            maps[member] = each
    return maps


def _map_content(volume: Volume, frozen: bool) -> VolumeMap:
    parser = PARSERS.get(volume.content.kind)
    if parser is None:
        return whole(volume, f"no map of used blocks is known for {volume.content.kind}")
    found, reason = attempt(parser, volume.read_at, volume.size, frozen)
    if found is None:
        return whole(volume, reason)
    ranges, method = found
    return VolumeMap(ranges.clip(0, volume.size), method)
