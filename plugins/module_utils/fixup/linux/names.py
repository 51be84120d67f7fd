# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Old device names and what the same partition is called wherever it appears: the file system's UUID, or the partition's.

The kernel numbers disks by driver and order of discovery; "/dev/sda2" of the source is "/dev/vda2" or "/dev/nvme0n1p2" on the target,
or another disk altogether. Where an MBR became a GPT (recovery/conversion), PARTUUIDs are old names too.
"""

import re

from typing import Dict, NamedTuple, Sequence, Tuple

from ...machine.fstab import split_spec
from ...machine.model import Content, Disk, Partition
from ...machine.partition_edit import BIOS_BOOT, partuuid_after_conversion

# Contents that hold no device name themselves: what is in them is not known, so neither is what they lack.
LAYERED = ("lvm2", "luks", "md", "zfs", "bitlocker", "unknown")
# Partitions that hold boot code or nothing by design: extended ones, BIOS boot, PReP.
NO_CONTENT = ("0x05", "0x0f", "0x85", "0x41", BIOS_BOOT, "9e1a2d38-c612-4316-aa26-8b49521e5a8b")
MOUNTABLE = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "exfat", "ntfs", "swap", "luks")

_KERNEL_NAME = re.compile(r"/dev/(?P<disk>(?:sd|hd|vd|xvd)[a-z]+|(?:nvme\d+n|mmcblk|nbd|loop)\d+|cciss/c\d+d\d+)(?:p?(?P<part>\d+))?\Z")
_BY_NAME = re.compile(r"/dev/disk/by-(?:id|path)/.+?(?:-part(?P<part>\d+))?\Z")
# multipath-tools calls a disk mpatha and so on where nobody named it; which one that is, /etc/multipath/bindings says by WWID.
_MULTIPATH = re.compile(r"/dev/mapper/mpath[a-z]+?(?:(?:-part|p)?(?P<part>\d+))?\Z")
# What the partition of an MBR is called by its place in it. A PARTUUID of a GPT looks otherwise.
_MBR_PARTUUID = re.compile(r"(?:PARTUUID=[\"']?|/dev/disk/by-partuuid/)(?P<old>[0-9A-Fa-f]{8}-[0-9A-Fa-f]{2})[\"']?\Z")
_BY_CONTENT = re.compile(r"/dev/disk/by-(?P<tag>uuid|label|partuuid|partlabel)/(?P<value>[^/]+)\Z")
_FAMILY = re.compile(r"(?:sd|hd|vd|xvd)(?P<letters>[a-z]+)\Z")


class Names(NamedTuple):
    """Where the disks' names and contents are looked up."""
    disks: Tuple[Disk, ...]
    counts: Dict[str, int]               # file system UUID -> how often it is on the disks

    def is_bound(self, spec: str) -> bool:
        """Whether a name depends on the old hardware, or on a partition table that is no more."""
        return any(pattern.match(spec) is not None for pattern in (_KERNEL_NAME, _BY_NAME, _MULTIPATH)) or self._converted(spec) is not None

    def lasting(self, spec: str, by_partition: bool = False) -> str:
        """The name that lasts for one that does not: "UUID=…", else "PARTUUID=…"; "" when the device is on none of the disks.

        `by_partition` asks for the PARTUUID, the only one of the two that the kernel knows without an initramfs.
        """
        found = self.find(spec)
        if found is None:
            return ""
        content, partition_uuid = found
        if partition_uuid and (by_partition or self._converted(spec) is not None):
            return "PARTUUID=" + partition_uuid
        if content.uuid and content.kind in MOUNTABLE and self.counts.get(content.uuid.lower()) == 1:
            return "UUID=" + content.uuid
        return "PARTUUID=" + partition_uuid if partition_uuid else ""

    def find(self, spec: str):
        """(content, partition UUID) of what an old name meant, None when it is on none of the disks."""
        converted = self._converted(spec)
        if converted is not None:
            return converted.content, converted.uuid
        match = _KERNEL_NAME.match(spec)
        if match is not None:
            disk = self._disk(match.group("disk"))
        else:
            match = _BY_NAME.match(spec) or _MULTIPATH.match(spec)
            # Such a name does not tell the disk without the old hardware; with one disk there is no doubt.
            disk = self.disks[0] if match is not None and len(self.disks) == 1 else None
        if disk is None:
            return None
        if match.group("part") is None:
            return disk.content, ""
        partition = _partition(disk, int(match.group("part")))
        return None if partition is None else (partition.content, partition.uuid)

    def has(self, tag: str, value: str) -> bool:
        """Whether a content or partition with this UUID, LABEL, PARTUUID or PARTLABEL is on the disks."""
        value = value if tag in ("LABEL", "PARTLABEL") else value.lower()
        for disk in self.disks:
            for partition in disk.partitions or (Partition(0, 0, disk.size, "", content=disk.content),):
                known = {"UUID": partition.content.uuid.lower(), "LABEL": partition.content.label,
                         "PARTUUID": partition.uuid.lower(), "PARTLABEL": partition.name}
                if value and known[tag] == value:
                    return True
        return False

    def is_ambiguous(self, spec: str) -> bool:
        """Whether a name tells its disk by an identifier of the old hardware, which could be any of several disks."""
        return len(self.disks) > 1 and self.find(spec) is None and any(pattern.match(spec) for pattern in (_BY_NAME, _MULTIPATH))

    def is_missing(self, spec: str) -> bool:
        """Whether what a name means is on none of the disks. What cannot be told counts as there."""
        if self.is_bound(spec):
            return bool(self.disks) and self.find(spec) is None
        tag, value = split_spec(spec)
        match = _BY_CONTENT.match(spec)
        if match is not None:
            tag, value = match.group("tag").upper(), _udev_decoded(match.group("value"))
        return tag in ("UUID", "LABEL", "PARTUUID", "PARTLABEL") and self.transparent and not self.has(tag, value)

    @property
    def transparent(self) -> bool:
        """Whether every content is known, so that what is on none of the disks is really missing."""
        return bool(self.disks) and not any(content.kind in LAYERED for content in contents(self.disks))

    def _converted(self, spec):
        """The partition whose PARTUUID this was before its disk got a GPT, None if it is none."""
        match = _MBR_PARTUUID.match(spec)
        if match is None or self.has("PARTUUID", match.group("old")):
            return None
        now = partuuid_after_conversion(match.group("old"))
        return next((part for disk in self.disks for part in disk.partitions if part.uuid.lower() == now), None)

    def _disk(self, name):
        for disk in self.disks:
            if disk.name == name:
                return disk
        # The disks may have been named otherwise when they were captured from files: the only one is "a" in any family.
        family = _FAMILY.match(name)
        if family and family.group("letters") == "a" and len(self.disks) == 1:
            return self.disks[0]
        return None


def _udev_decoded(name):
    """udev writes unusual bytes of a label as \\x20 (libudev-util.c, encode_devnode_name)."""
    data = re.sub(
        rb"\\x([0-9a-fA-F]{2})", lambda match: bytes((int(match.group(1), 16),)), name.encode("utf-8", "surrogateescape")
    )
    return data.decode("utf-8", "surrogateescape")


def read_names(disks: Sequence[Disk]) -> Names:
    counts = {}
    for content in contents(disks):
        counts[content.uuid.lower()] = counts.get(content.uuid.lower(), 0) + 1
    return Names(tuple(disks), counts)


def contents(disks) -> Tuple[Content, ...]:
    found = []
    for disk in disks:
        if disk.table == "none":
            found.append(disk.content)
        found.extend(partition.content for partition in disk.partitions if partition.type not in NO_CONTENT)
    return tuple(found)


def _partition(disk, number):
    for partition in disk.partitions:
        if partition.number == number:
            return partition
    return None
