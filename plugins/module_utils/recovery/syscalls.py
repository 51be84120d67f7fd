# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mount(2), umount2(2) and /proc/self/mountinfo.

System calls and not mount(8): an open directory can be given as the mount point, so that no symbolic link is followed between
the moment its path was resolved and the mount; and no helper program, fstab or mount.<type> of the worker takes part.
"""

import ctypes
import errno
import os
import re
import time
from typing import NamedTuple, Tuple

# linux/mount.h
MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MNT_DETACH = 2
UMOUNT_NOFOLLOW = 8

# A recovery image is data for us: nothing in it may run, become root or open devices of the worker.
DATA_ONLY = MS_NOSUID | MS_NODEV | MS_NOEXEC

_libc = ctypes.CDLL(None, use_errno=True)


class MountEntry(NamedTuple):
    """One line of /proc/self/mountinfo (proc(5))."""
    number: int
    device: str                     # "major:minor"
    path: str
    options: Tuple[str, ...]        # of the mount
    type: str
    source: str
    super_options: Tuple[str, ...]  # of the file system
    root: str = "/"                 # what of the file system is mounted: a subvolume, or a folder of a bind mount

    @property
    def writable(self):
        return "rw" in self.options and "rw" in self.super_options


def mount(source, target, fstype, flags, data=""):
    """Mounts. `target` is a path, or a descriptor of a directory. Raises OSError."""
    place = f"/proc/self/fd/{target}" if isinstance(target, int) else target
    arguments = [os.fsencode(part) for part in (source, place, fstype)]
    if _libc.mount(arguments[0], arguments[1], arguments[2], ctypes.c_ulong(flags), os.fsencode(data)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source)


def unmount(path, flags=UMOUNT_NOFOLLOW):
    """Unmounts what lies on top at `path`. Raises OSError."""
    if _libc.umount2(os.fsencode(path), ctypes.c_int(flags)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def unmount_below(path, patience):
    """Unmounts what lies at and beneath `path`, last mounted first, and tries again for `patience` seconds while something is in use.

    Returns the OSError that remained, its filename the mount point; None if all went.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            for entry in reversed(mounts_below(path)):
                unmount(entry.path)
            return None
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                return error
        time.sleep(0.1)


def flush(path):
    """Writes a mounted file system to its disk: syncfs(2)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if _libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)


def mounts():
    """All mounts of this process's mount namespace, in the order in which they cover each other, as a list of MountEntry."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return [parse_mountinfo_line(line) for line in lines]


def mounts_below(path):
    """The mounts at `path` and beneath it, oldest first."""
    return [entry for entry in mounts() if is_below(entry.path, path)]


def mount_at(path):
    """The uppermost mount exactly at `path`, or None."""
    found = [entry for entry in mounts() if entry.path == path]
    return found[-1] if found else None


def is_below(path, folder):
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def parse_mountinfo_line(line):
    fields = line.rstrip("\n").split(" ")
    rest = fields.index("-", 6)
    return MountEntry(int(fields[0]), fields[2], unescape(fields[4]), tuple(fields[5].split(",")),
                      fields[rest + 1], unescape(fields[rest + 2]), tuple(fields[rest + 3].split(",")), unescape(fields[3]))


def unescape(field):
    """A field of mountinfo or /proc/swaps: blanks and the like are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)
