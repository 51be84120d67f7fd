# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of the recovery area: what is given, what is found on the disks, what is planned and what is mounted."""

from typing import NamedTuple, Tuple

from ..errors import TargetError
from ..machine.model import Content, Disk, partition_name

ROOT_KINDS = ("ext2", "ext3", "ext4", "xfs", "btrfs")   # file systems that the root of a Linux machine may be


class RestoredDisk(NamedTuple):
    """A disk restored from an image."""
    name: str               # the source's name of the disk, which the machine's own /dev/… paths use: "sda", "nvme0n1"
    path: str               # raw file or block device on this worker
    sector_size: int = 0    # bytes; 0: as the block device says, 512 for a file
    size: int = 0           # bytes that it must have, a block device at least; 0: whatever it has


class Member(NamedTuple):
    """A further partition or disk of a file system that lies on several."""
    label: str                      # as Volume.label
    partition: int                  # as in Volume, like the rest
    path: str
    start: int
    size: int


class Volume(NamedTuple):
    """A partition, a whole disk without partitions, or (in the appliance) a logical volume or array, that holds `content`."""
    disk: str                       # name of the disk, "" where a volume spans disks
    partition: int                  # 0: not a partition
    path: str                       # file or block device of the disk
    start: int                      # bytes from the start of the disk
    size: int                       # bytes
    content: Content
    uuid: str = ""                  # PARTUUID
    name: str = ""                  # PARTLABEL
    device: str = ""                # its name inside the appliance: "/dev/vg0/root"
    aliases: Tuple[str, ...] = ()   # further names that the machine itself uses: "/dev/mapper/vg0-root"
    members: Tuple[Member, ...] = ()    # btrfs: its further devices
    lacks: int = 0                  # btrfs: how many of its devices are not among the disks

    @property
    def label(self):
        """What messages call it: "sda2", "nvme0n1p2", "/dev/vg0/root"."""
        return partition_name(self.disk, self.partition) if self.disk else self.device


class PlannedMount(NamedTuple):
    path: str                       # mount point as fstab says it, without dots and double slashes
    volume: Volume
    options: Tuple[str, ...]        # the ones that matter for us: subvol=… and subvolid=… of btrfs
    read_only: bool
    required: bool                  # the recovery image is incomplete, and useless for fix-ups, without it


class Missing(NamedTuple):
    """An entry of fstab that is not mounted although it belongs to the machine."""
    spec: str
    path: str
    reason: str


class MountedVolume(NamedTuple):
    device: str                     # name of the disk, or of the logical volume
    partition: int                  # 0: not a partition
    path: str                       # where it lies inside the root, free of symbolic links
    type: str                       # ext4 xfs btrfs vfat …
    backend: str                    # kernel fuse mtools guestfs
    read_only: bool = False


class MountedRoot(NamedTuple):
    root: str                       # the mount point on this worker
    mounts: Tuple[MountedVolume, ...]
    missing: Tuple[Missing, ...]
    disks: Tuple[Disk, ...]
    backend: str                    # kernel fuse mtools guestfs, or several joined by "+"
    read_only: bool = False


class CannotMount(TargetError):
    """One backend cannot mount one volume; the message says why. The next backend may."""


def refuse_incomplete(volume):
    """Mounted without one of its devices, a btrfs may write what it cannot read again with all of them (btrfs(5), degraded)."""
    if volume.lacks:
        raise CannotMount(f"{volume.label}: this btrfs lies on {1 + len(volume.members) + volume.lacks} devices, and {volume.lacks} of them "
                          "are not among the disks. Restore all disks of the machine.")
