# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether disks may be restored to where they are asked for, told before anything is touched."""

import errno
import os
import stat

from ..errors import TargetError
from ..machine.disk import read_disk


def check_targets(image, targets, force):
    """Check {disk name: path} for an image (ImageInfo); returns what will be restored as [{"name", "path", "size"}].

    A file that exists and a device that holds something are refused unless `force`. Raises TargetError.
    """
    disks = {disk.name: disk for disk in image.disks}
    unknown = sorted(set(targets) - set(disks))
    if unknown:
        raise TargetError("Image {0} has no disk {1}; it has: {2}.".format(image.id, ", ".join(unknown), ", ".join(disks)))
    for name, path in targets.items():
        _check_target(name, path, disks[name].size, force)
    return [{"name": name, "path": path, "size": disks[name].size} for name, path in targets.items()]


def _check_target(name, path, size, force):
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder):
            raise TargetError("The folder {0} for disk {1} does not exist.".format(folder, name))
        return
    except OSError as error:
        raise TargetError("The target {0} of disk {1} cannot be used: {2}.".format(path, name, error.strerror))
    if stat.S_ISBLK(mode):
        _check_device(name, path, size, force)
    elif not stat.S_ISREG(mode):
        raise TargetError("The target {0} of disk {1} is neither a file nor a block device.".format(path, name))
    elif not force:
        raise TargetError("The target {0} of disk {1} exists already. Remove it, or say force.".format(path, name))


def _check_device(name, path, size, force):
    try:
        # O_EXCL: the kernel refuses a device that is mounted, swapped to, or part of another.
        handle = os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        reason = "it is in use" if error.errno == errno.EBUSY else error.strerror
        raise TargetError("The target {0} of disk {1} cannot be used: {2}.".format(path, name, reason))
    try:
        there = os.lseek(handle, 0, os.SEEK_END)
        if there < size:
            raise TargetError("The target {0} is too small for disk {1}: it has {2} bytes, the disk {3}.".format(path, name, there, size))
        if not force:
            found = _holds(handle, there)
            if found:
                raise TargetError("The target {0} of disk {1} holds {2}. To overwrite it, say force.".format(path, name, found))
    finally:
        os.close(handle)


def _holds(handle, size):
    """What a device holds, in words; "" if nothing is known of what it holds."""
    disk = read_disk("target", lambda offset, length: os.pread(handle, max(0, min(length, size - offset)), offset), size)
    if disk.table != "none":
        return "a {0} partition table with {1} partitions".format(disk.table.upper(), len(disk.partitions))
    if disk.content.kind not in ("empty", "unknown"):
        return "content of kind {0}".format(disk.content.kind)
    return ""
