# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The block devices of a running Linux host, what lies on what, and what is mounted or swapped to.

Read from sysfs (Documentation/ABI/stable/sysfs-block), udev's links below /dev/disk, /proc/self/mountinfo and /proc/swaps. Nothing is
opened, no device is read. Which physical volumes make up a volume group is told by pvs(8), for sysfs shows only those in use.
"""

import os
import re
from typing import Callable, Dict, List, NamedTuple, Tuple

from ..errors import SourceError
from ..recovery.syscalls import parse_mountinfo_line
from .lvm_commands import physical_volumes

MULTIPATH = "mpath-"      # beginnings of device mapper's uuids, by who made the device
LVM = "LVM-"


class BlockDevice(NamedTuple):
    """A disk, a partition, or what device mapper, MD and others have built on them."""
    name: str                        # the kernel's: sda, sda1, dm-0, md0
    number: str                      # "major:minor"
    path: str                        # /dev/sda, /dev/mapper/vg-root
    size: int                        # bytes
    sector_size: int = 512           # logical, bytes
    read_only: bool = False
    removable: bool = False
    below: Tuple[str, ...] = ()      # names of the devices that it lies on; empty for a disk
    model: str = ""
    serial: str = ""
    mapper: str = ""                 # name and uuid in device mapper
    mapper_uuid: str = ""
    bus: str = ""                    # device_id of the Hyper-V bus device that it hangs on
    links: Tuple[str, ...] = ()      # udev's names below /dev/disk: "by-id/ata-…", "by-label/data"

    @property
    def is_multipath(self):
        return self.mapper_uuid.startswith(MULTIPATH)


class Use(NamedTuple):
    """Something that the host does with a block device."""
    device: str          # name of the BlockDevice
    place: str           # mount point, or "swap"


class Group(NamedTuple):
    """Devices of which none is worth anything without the others."""
    label: str           # "volume group data"
    devices: Tuple[str, ...]


class Host(NamedTuple):
    devices: Dict[str, BlockDevice]
    uses: Tuple[Use, ...]
    groups: Tuple[Group, ...]

    def disks_below(self, name: str) -> List[str]:
        """Names of the disks that a device lies on; a multipath device is a disk."""
        device = self.devices[name]
        if not device.below or device.is_multipath:
            return [name]
        return sorted({disk for lower in device.below if lower in self.devices for disk in self.disks_below(lower)})


def read_host(root: str = "/", volume_groups: Callable[[], List[Tuple[str, str]]] = physical_volumes) -> Host:
    """The Host whose /sys, /proc and /dev lie below `root`. Raises SourceError.

    volume_groups: tells (path of a physical volume, name of its volume group); asked only where LVM is in use.
    """
    links = _links(root)
    devices = {}
    try:
        names = sorted(os.listdir(os.path.join(root, "sys/block")))
    except OSError as error:
        raise SourceError("The disks of this host cannot be told: {0}.".format(error))
    for name in names:
        disk = _device(os.path.join(root, "sys/block", name), name, links)
        if disk is None:
            continue
        devices[name] = disk
        for part in _partitions(root, name):
            devices[part] = _partition(os.path.join(root, "sys/block", name, part), part, disk, links)
    return Host(devices, tuple(_uses(root, devices)), tuple(_groups(root, devices, volume_groups)))


def _device(base, name, links):
    """The BlockDevice of a folder of /sys/block; None for one that cannot be used by name (a hidden path of NVMe multipath)."""
    number = _text(base, "dev")
    if not number or _text(base, "hidden") == "1":
        return None
    mapper = _text(base, "dm/name")
    return BlockDevice(
        name, number, "/dev/mapper/" + mapper if mapper else "/dev/" + name.replace("!", "/"), int(_text(base, "size") or 0) * 512,
        int(_text(base, "queue/logical_block_size") or 512), _text(base, "ro") == "1", _text(base, "removable") == "1",
        tuple(_list(base, "slaves")), _text(base, "device/model"), _serial(base), mapper, _text(base, "dm/uuid"), _bus(base),
        tuple(links.get(name, ())))


def _partitions(root, name):
    base = os.path.join(root, "sys/block", name)
    return [entry for entry in _list(base) if os.path.exists(os.path.join(base, entry, "partition"))]


def _partition(base, name, disk, links):
    return BlockDevice(name, _text(base, "dev"), "/dev/" + name.replace("!", "/"), int(_text(base, "size") or 0) * 512, disk.sector_size,
                       disk.read_only, disk.removable, (disk.name,), links=tuple(links.get(name, ())))


def _serial(base):
    """Serial number: of virtio-blk, of NVMe and MMC, or of SCSI's vital product data page 0x80 (SPC-4, 7.8.13)."""
    found = _text(base, "serial") or _text(base, "device/serial")
    if not found:
        found = _text(base, "device/vpd_pg80")[4:].strip("\0 ")
    return found


def _bus(base):
    """The device_id of the VMBus device above a disk, "" elsewhere."""
    path = os.path.realpath(os.path.join(base, "device"))
    while len(path) > 1 and os.path.basename(path) != "devices":
        found = _text(path, "device_id")
        if found.startswith("{"):
            return found.strip("{}")
        path = os.path.dirname(path)
    return ""


def _links(root):
    """Kernel names of devices -> udev's links to them."""
    found = {}
    for kind in ("by-id", "by-label", "cloud", "azure"):
        folder = os.path.join(root, "dev/disk", kind)
        for link in _list(folder):
            try:
                target = os.readlink(os.path.join(folder, link))
            except OSError:
                continue      # a folder of more links
            label = re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match.group(1), 16)), link)
            found.setdefault(os.path.basename(target), []).append(kind + "/" + label)
    return found


def _uses(root, devices):
    numbers = {device.number: name for name, device in devices.items()}
    for line in _text(root, "proc/self/mountinfo").splitlines():
        mount = parse_mountinfo_line(line)
        # btrfs shows an anonymous number; its source names one of its devices.
        name = numbers.get(mount.device) or _name_of(root, devices, mount.source)
        if name:
            yield Use(name, mount.path)
    for line in _text(root, "proc/swaps").splitlines()[1:]:
        fields = line.split()
        name = _name_of(root, devices, fields[0]) if fields[1] == "partition" else ""
        if name:
            yield Use(name, "swap")


def _groups(root, devices, volume_groups):
    for name, device in devices.items():
        if len(device.below) > 1 and not device.is_multipath and not device.mapper_uuid.startswith(LVM):
            yield Group(device.mapper or name, device.below)
    for uuid in _list(root, "sys/fs/btrfs"):
        members = tuple(name for name in _list(root, "sys/fs/btrfs", uuid, "devices") if name in devices)
        if members:
            yield Group("btrfs " + uuid, members)
    if any(device.mapper_uuid.startswith(LVM) for device in devices.values()):
        members = {}
        for path, group in volume_groups():
            members.setdefault(group, []).append(_name_of(root, devices, path))
        for group, names in sorted(members.items()):
            yield Group("volume group " + group, tuple(name for name in names if name))


def _name_of(root, devices, path):
    """The kernel's name of the device at a path below /dev; "" if there is none."""
    if not path.startswith("/dev/"):
        return ""
    for name, device in devices.items():
        if device.path == path:
            return name
    target = os.path.basename(os.path.realpath(os.path.join(root, path.lstrip("/"))))
    return target if target in devices else ""


def _list(*parts):
    try:
        return sorted(os.listdir(os.path.join(*parts)))
    except OSError:
        return []


def _text(*parts):
    """Content of a file without the white space around it; "" if it cannot be read."""
    try:
        with open(os.path.join(*parts), encoding="utf-8", errors="surrogateescape") as file:
            return file.read().strip()
    except OSError:
        return ""
