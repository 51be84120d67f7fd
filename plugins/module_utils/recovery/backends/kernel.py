# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mounts by the worker's own kernel: fastest, and replays journals as the machine itself would.

A partition is reached through a loop device with offset and size, so the kernel need not parse partition tables; on block devices
whose partition nodes exist and agree with the table, these are used. A kernel parses what a stranger's file system says:
where the recovered machine may be hostile to that degree, choose the backend "guestfs", which does it in a virtual machine.
"""

import errno
import glob
import os
import stat

from ...errors import TargetError
from .. import syscalls
from ..model import CannotMount, refuse_incomplete

NAME = "kernel"
KINDS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat")

# Kernel documentation, admin-guide/ext4 and admin-guide/xfs; btrfs(5). "errors=" is always given, since the superblock may say "panic".
# nouuid: the worker may itself have this UUID mounted, if the disk is its clone.
_OPTIONS = {"ext2": "errors=remount-ro", "ext3": "errors=remount-ro", "ext4": "errors=remount-ro", "xfs": "nouuid", "btrfs": "", "vfat": ""}
# How to keep a read-only mount from replaying the journal, newest spelling first.
_NO_REPLAY = {"ext3": ("noload",), "ext4": ("noload",), "xfs": ("norecovery",), "btrfs": ("rescue=nologreplay", "nologreplay")}
_REASONS = {
    errno.ENODEV: "this kernel has no driver for {kind}",
    errno.EINVAL: "this kernel refuses the {kind} file system: it is damaged, or uses features that the kernel lacks",
    errno.EUCLEAN: "the {kind} file system is damaged",
    errno.EBUSY: "the kernel says that it is in use",
    errno.EPERM: "mounting needs root",
}


def mount_volume(session, volume, place, options, read_only):
    """Mounts `volume` on the directory `place`. Raises CannotMount."""
    kind = volume.content.kind
    try:
        device = _device_of(session, volume)
        others = [_device_of(session, member) for member in volume.members]
    except TargetError as error:
        raise CannotMount(f"{volume.label}: {error}") from error
    if kind == "btrfs":
        refuse_incomplete(volume)
        _refuse_second_btrfs(volume, [device] + others)
    members = tuple(f"device={other}" for other in others)
    flags = syscalls.DATA_ONLY | (syscalls.MS_RDONLY if read_only or session.untouched else 0)
    for last, no_replay in _last_marked(_NO_REPLAY.get(kind, ("",)) if session.untouched else ("",)):
        data = ",".join(part for part in (_OPTIONS[kind], no_replay) + tuple(options) + members if part)
        try:
            syscalls.mount(device, place.descriptor, "ext4" if kind.startswith("ext") else kind, flags, data)
            break
        except OSError as error:
            if last or error.errno != errno.EINVAL:
                reason = _REASONS.get(error.errno, f"the kernel says: {error.strerror}").format(kind=kind)
                raise CannotMount(f"{volume.label}: {reason}") from error


def _last_marked(items):
    return [(index == len(items) - 1, item) for index, item in enumerate(items)]


def _device_of(session, volume):
    """A read-only loop device lies even over a partition node if nothing may be written: no driver can get that wrong."""
    status = os.stat(volume.path)
    if not session.untouched and stat.S_ISBLK(status.st_mode):
        node = _partition_node(status.st_rdev, volume)
        if node:
            return node
    return session.loop_device(volume)


def _partition_node(number, volume):
    """The kernel's own node of the partition, where one exists and lies exactly there. "" if not."""
    folder = f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"
    if not volume.partition:
        return volume.path
    for entry in glob.glob(folder + "/*/partition"):
        part = os.path.dirname(entry)
        # sysfs counts in units of 512 bytes, whatever the sector size (Documentation/ABI/stable/sysfs-block).
        if int(_read(part + "/start")) * 512 == volume.start and int(_read(part + "/size")) * 512 == volume.size:
            return "/dev/" + os.path.basename(part).replace("!", "/")
    return ""


def _read(path):
    with open(path, encoding="ascii") as stream:
        return stream.read()


def _refuse_second_btrfs(volume, own):
    """Two devices with one btrfs UUID confuse the kernel, up to writing to the wrong one (btrfs(5))."""
    folder = f"/sys/fs/btrfs/{volume.content.uuid}/devices"
    foreign = set(os.listdir(folder) if os.path.isdir(folder) else ()) - {os.path.basename(device) for device in own}
    if foreign:
        raise CannotMount(f"{volume.label}: a btrfs with the same UUID {volume.content.uuid} is mounted on this worker already, from "
                          f"{', '.join(sorted(foreign))}. Use another worker, or the backend guestfs.")
