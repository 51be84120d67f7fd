# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which disks of a running host make up the machine, and why.

Disks that share a volume group, an array or a file system stand or fall together. Such a set of disks is taken if something on it is
mounted or swapped to. A set of only removable, ephemeral, read-only or virtual disks is left out even then, unless the root file
system lies on it. What is left out is told with its reason.
"""

import fnmatch
import re
from typing import List, NamedTuple, Sequence, Tuple

from ..errors import SourceError
from .hostdisks import BlockDevice, Host, read_host

VIRTUAL = {
    "loop": "a loop device", "ram": "a disk in memory", "zram": "a disk in memory", "sr": "an optical drive", "fd": "a floppy drive",
    "nbd": "a network block device",
}
# Disks that a cloud empties when it moves the machine: model as the kernel shows it. Amazon EC2 User Guide, "NVMe instance store
# volumes"; azure-vm-utils, 80-azure-disk.rules; Google guest-configs, 65-gce-disk-naming.rules.
EPHEMERAL_MODELS = ("Amazon EC2 NVMe Instance Storage", "Microsoft NVMe Direct Disk*", "EphemeralDisk", "nvme_card")
# The same by udev's links: Azure's resource disk; Google's local SSD; labels of Azure's resource disk and of OpenStack Nova's.
EPHEMERAL_LINKS = ("cloud/azure_resource*", "azure/resource*", "by-id/google-local-*", "by-label/Temporary Storage",
                   "by-label/ephemeral[0-9]")
AZURE_RESOURCE_BUS = "00000000-0001-"     # VMBus device of the second IDE channel, generation 1 (WALinuxAgent, 66-azure-storage.rules)
# udev's names of a disk, the most telling first.
LINK_ORDER = ("ata-", "nvme-", "scsi-", "virtio-", "google-", "usb-", "mmc-", "dm-uuid-", "wwn-", "")


class HostDisk(NamedTuple):
    """A disk of the host, and whether it is part of the machine."""
    name: str                    # sda
    path: str                    # /dev/sda
    by_id: str                   # /dev/disk/by-id/…; "": udev knows none
    serial: str
    model: str
    size: int                    # bytes
    sector_size: int             # logical, bytes
    taken: bool
    reason: str                  # why it was taken or left out
    uses: Tuple[str, ...] = ()   # mount points on it, and "swap"
    excluded: bool = False       # left out because the operator said so


def select_disks(exclude: Sequence[str] = (), host: Host = None) -> Tuple[HostDisk, ...]:
    """All disks of the host (this one by default) in a stable order; `taken` are those of the machine.

    exclude: patterns as of a shell. One that begins with "/" is matched with paths (/dev/sdb, /dev/disk/by-id/…) and mount points; any
    other with name, serial number and names in /dev/disk/by-id. Excluded mount points are as if they were not mounted.
    Raises SourceError: the disk of the root file system cannot be told, or an exclusion would tear a volume group or array apart.
    """
    host = host or read_host()
    paths = {member: device for device in host.devices.values() if device.is_multipath for member in device.below}
    disks = [device for device in host.devices.values() if (device.is_multipath or not device.below) and device.size]
    members = {disk.name for disk in disks if disk.name not in paths}
    if not any(use.place == "/" for use in host.uses):
        raise SourceError("The disk under / cannot be told: it is no file system on a block device that is known here. Name the disks.")
    chosen = [_left_out(disk, (), "a path of the multipath device {0}".format(paths[disk.name].mapper)) for disk in disks
              if disk.name in paths]
    for together in _components(host, members):
        chosen += _decide(host, sorted(together), list(exclude))
    return tuple(sorted(chosen, key=lambda disk: (len(disk.name), disk.name)))


def left_out_in_use(disks: Sequence[HostDisk]) -> Tuple[str, ...]:
    """Sentences about disks that are in use and yet left out, although nobody asked for it. Files in loop devices lie on other disks."""
    return tuple("Disk {0} is left out ({1}), although it holds {2}.".format(disk.name, disk.reason, ", ".join(disk.uses)) for disk in disks
                 if not disk.taken and disk.uses and not disk.excluded and _kind(disk.name) not in ("loop", "ram", "zram", "sr", "fd"))


def _components(host: Host, names) -> List[set]:
    """The disks, in sets that belong together."""
    sets = [{name} for name in names]
    for group in host.groups:
        touched = {disk for device in group.devices for disk in host.disks_below(device)} & set(names)
        joined = [each for each in sets if each & touched]
        sets = [each for each in sets if not each & touched] + ([set().union(*joined)] if joined else [])
    return sets


def _decide(host: Host, names: List[str], exclude: List[str]) -> List[HostDisk]:
    """What becomes of the disks `names`, which belong together."""
    disks = [host.devices[name] for name in names]
    uses = {name: _places(host, name) for name in names}
    everything = {place for places in uses.values() for place in places}
    wanted = {place for place in everything if not any(fnmatch.fnmatchcase(place, pattern) for pattern in exclude)}
    natures = [_nature(host, disk) for disk in disks]
    if not wanted:
        if everything:
            return [_left_out(disk, uses[disk.name], "only what is excluded is mounted from it", True) for disk in disks]
        return [_left_out(disk, (), nature or "nothing on it is mounted or used as swap") for disk, nature in zip(disks, natures)]
    named = {disk.name: pattern for disk in disks for pattern in exclude if _is_named(disk, pattern)}
    if len(named) == len(disks):
        return [_left_out(disk, uses[disk.name], "excluded by {0}".format(named[disk.name]), True) for disk in disks]
    if named:
        raise SourceError("Without {0}, {1} would not be whole: {2} belong together. Exclude all of them or none.".format(
            ", ".join(sorted(named)), " and ".join(_labels(host, named)), ", ".join(names)))
    if all(natures) and "/" not in wanted:
        return [_left_out(disk, uses[disk.name], nature) for disk, nature in zip(disks, natures)]
    return [_described(disk, True, _why_taken(host, disk, uses[disk.name], everything - wanted, names), uses[disk.name]) for disk in disks]


def _places(host: Host, disk: str) -> Tuple[str, ...]:
    return tuple(sorted({use.place for use in host.uses if disk in host.disks_below(use.device)}))


def _labels(host: Host, names) -> List[str]:
    """The groups that lie on any of the disks."""
    return [group.label for group in host.groups if set(names) & {disk for device in group.devices for disk in host.disks_below(device)}]


def _why_taken(host: Host, disk: BlockDevice, places, unwanted: set, names: List[str]) -> str:
    if places:
        still = [place for place in places if place in unwanted]
        return "holds " + ", ".join(places) + ("; {0} cannot be excluded alone".format(", ".join(still)) if still else "")
    others = [name for name in names if name != disk.name]
    return "belongs to {0}, as {1}".format(" and ".join(_labels(host, [disk.name])), ", ".join(others))


def _nature(host: Host, disk: BlockDevice) -> str:
    """Why such a disk is not part of a machine; "" for one that may be."""
    kind = VIRTUAL.get(_kind(disk.name))
    if kind:
        return kind
    links = [link for device in host.devices.values() if device is disk or device.below == (disk.name,) for link in device.links]
    if any(fnmatch.fnmatchcase(disk.model, model) for model in EPHEMERAL_MODELS) or disk.bus.startswith(AZURE_RESOURCE_BUS) or any(
            fnmatch.fnmatchcase(link, pattern) for link in links for pattern in EPHEMERAL_LINKS):
        return "ephemeral: the cloud keeps it only while the machine stays where it is"
    if disk.removable:
        return "removable"
    return "read-only" if disk.read_only else ""


def _kind(name: str) -> str:
    return re.match("[a-z]*", name).group()


def _is_named(disk: BlockDevice, pattern: str) -> bool:
    ids = [link for link in disk.links if link.startswith("by-id/")]
    if pattern.startswith("/"):
        names = [disk.path, "/dev/" + disk.name] + ["/dev/disk/" + link for link in ids]
    else:
        names = [disk.name, disk.mapper, disk.serial] + [link[len("by-id/"):] for link in ids]
    return any(name and fnmatch.fnmatchcase(name, pattern) for name in names)


def _left_out(disk: BlockDevice, places, reason: str, excluded: bool = False) -> HostDisk:
    return _described(disk, False, reason, places)._replace(excluded=excluded)


def _described(disk: BlockDevice, taken: bool, reason: str, places) -> HostDisk:
    ids = [link[len("by-id/"):] for link in disk.links if link.startswith("by-id/")]
    ids.sort(key=lambda link: (next(rank for rank, start in enumerate(LINK_ORDER) if link.startswith(start)), link))
    return HostDisk(disk.mapper or disk.name, disk.path, "/dev/disk/by-id/" + ids[0] if ids else "", disk.serial, disk.model, disk.size,
                    disk.sector_size, taken, reason, tuple(places))
