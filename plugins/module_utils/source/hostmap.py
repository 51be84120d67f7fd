# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where on the captured disks the mounted file systems of this host lie, and on what a path of this host depends.

Followed are partitions, loop devices (with offset) and what device mapper or MD built on them. Read from /proc/self/mountinfo (proc(5)) and
sysfs (Documentation/ABI/stable/sysfs-block, testing/sysfs-block-loop). File systems that are mounted in other mount namespaces only are
not seen.
"""

import glob
import os
import stat
from typing import Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple

from ..errors import SourceError
from ..recovery.syscalls import MountEntry, is_below, mounts, unescape
from .consistency import Area

SYS_BLOCK = "/sys/dev/block"
SECTOR = 512                     # unit of sysfs, whatever the device's own is


class CapturedDisk(NamedTuple):
    """A disk that is captured: its name in the image, and the block device or file on this host."""
    name: str
    path: str
    size: int


class Place(NamedTuple):
    """Where a block device lies on the captured disks. `direct`: it is exactly this one stretch, byte for byte."""
    areas: Tuple[Area, ...]
    direct: bool


NOWHERE = Place((), False)


class HostFilesystem(NamedTuple):
    """A mounted file system of this host that lies on captured disks."""
    path: str                    # a mount point; a directory by which it is reached, if it is writable
    kind: str                    # as the kernel calls it: ext4 xfs vfat btrfs
    device: str                  # its block device, "major:minor"
    mount_device: str            # as mountinfo and stat(2) name the mount; differs from `device` for btrfs
    writable: bool               # the file system itself, whatever its mounts allow
    options: Tuple[str, ...]     # of the file system
    place: Place


class DeviceMap:
    """Finds block devices of this host on captured disks."""

    def __init__(self, disks: Sequence[CapturedDisk]):
        self._files = []         # type: List[Tuple[CapturedDisk, os.stat_result]]
        self._devices = {}       # type: Dict[str, CapturedDisk]
        for disk in disks:
            status = os.stat(disk.path)
            if stat.S_ISBLK(status.st_mode):
                self._devices[device_number(status.st_rdev)] = disk
            else:
                self._files.append((disk, status))

    def place(self, device: str) -> Place:
        """Where the block device "major:minor" lies."""
        return self._place(device, set())

    def _place(self, device: str, seen: Set[str]) -> Place:
        if device in self._devices:
            disk = self._devices[device]
            return Place((Area(disk.name, 0, disk.size),), True)
        base = os.path.join(SYS_BLOCK, device)
        if device in seen or not os.path.isdir(base):
            return NOWHERE
        seen.add(device)
        size = SECTOR * int(_read(base, "size") or 0)
        if os.path.exists(os.path.join(base, "partition")):
            parent = _read(os.path.realpath(base), "../dev")
            return _part_of(self._place(parent, seen), SECTOR * int(_read(base, "start") or 0), size)
        backing = _read(base, "loop/backing_file")
        if backing:
            return _part_of(self._behind_loop(backing, seen), int(_read(base, "loop/offset") or 0), size)
        slaves = [_read(path) for path in sorted(glob.glob(base + "/slaves/*/dev"))]
        return Place(tuple(area for slave in slaves for area in self._place(slave, seen).areas), False)

    def _behind_loop(self, backing: str, seen: Set[str]) -> Place:
        try:
            status = os.stat(backing)
        except OSError:
            return NOWHERE       # deleted, or beyond a mount of another namespace
        if stat.S_ISBLK(status.st_mode):
            return self._place(device_number(status.st_rdev), seen)
        for disk, known in self._files:
            if os.path.samestat(status, known):
                return Place((Area(disk.name, 0, disk.size),), True)
        return NOWHERE


def _part_of(whole: Place, offset: int, size: int) -> Place:
    if not whole.direct:
        return whole
    area = whole.areas[0]
    return Place((Area(area.disk, area.start + offset, max(0, min(size, area.size - offset))),), True)


def filesystems_on(disks: Sequence[CapturedDisk]) -> Tuple[HostFilesystem, ...]:
    """The mounted file systems that lie on the disks, the deepest mount points first: the order in which they may be frozen.

    SourceError where a writable one cannot be reached by any of its mount points.
    """
    devices = DeviceMap(disks)
    by_device = {}               # type: Dict[str, List[MountEntry]]
    for entry in mounts():
        by_device.setdefault(entry.device, []).append(entry)
    found = []
    for mount_device, entries in by_device.items():
        device = _block_device(entries[0])
        place = devices.place(device) if device else NOWHERE
        if place.areas:
            writable = "rw" in entries[0].super_options
            path = _reachable(entries) if writable else entries[0].path
            found.append(HostFilesystem(path, entries[0].type, device, mount_device, writable, entries[0].super_options, place))
    return tuple(sorted(found, key=lambda item: (-_depth(item.path), item.path)))


def foreign_mounts(filesystems: Sequence[HostFilesystem]) -> Tuple[str, ...]:
    """Mount points of this host at which something else lies than these file systems: /proc, what a file server gives, other disks."""
    own = {item.mount_device for item in filesystems}
    uppermost = {entry.path: entry.device for entry in mounts()}
    return tuple(sorted(path for path, device in uppermost.items() if device not in own))


def _depth(path: str) -> int:
    return len([part for part in path.split("/") if part])


def _block_device(entry: MountEntry) -> str:
    """The block device of a mount, or "". btrfs mounts carry an anonymous number; their source names one of the real devices."""
    if not entry.device.startswith("0:"):
        return entry.device
    if entry.type != "btrfs":
        return ""
    try:
        status = os.stat(entry.source)
    except OSError:
        return ""
    return device_number(status.st_rdev) if stat.S_ISBLK(status.st_mode) else ""


def _reachable(entries: Sequence[MountEntry]) -> str:
    """The shortest mount point that is not covered by another mount and is a directory."""
    anonymous = entries[0].device.startswith("0:")
    for entry in sorted(entries, key=lambda item: (len(item.path), item.path)):
        try:
            status = os.stat(entry.path)
        except OSError:
            continue
        if stat.S_ISDIR(status.st_mode) and (anonymous or device_number(status.st_dev) == entry.device):
            return entry.path
    paths = ", ".join(sorted(entry.path for entry in entries))
    raise SourceError(f"The file system mounted at {paths} is covered by other mounts and cannot be reached. Unmount what covers it.")


def depends_on(path: str) -> Set[str]:
    """Mounts ("major:minor") that have to work for a write to `path` to end: its own, and those below loop devices and overlays."""
    found = set()                # type: Set[str]
    waiting = [os.path.realpath(path)]
    table = mounts()
    while waiting:
        entry = _mount_of(waiting.pop(), table)
        if entry is None or entry.device in found:
            continue
        found.add(entry.device)
        waiting.extend(_backing_files(_block_device(entry)))
        waiting.extend(option[len("upperdir="):] for option in entry.super_options if option.startswith("upperdir="))
    return found


def _mount_of(path: str, table: Sequence[MountEntry]):
    """The mount that a path of this host lies on; of several at one place the last covers the others."""
    best = None
    for entry in table:
        if is_below(path, entry.path) and (best is None or len(entry.path) >= len(best.path)):
            best = entry
    return best


def _backing_files(device: str) -> Iterator[str]:
    """Files of this host on which a block device is built."""
    waiting, seen = [device] if device else [], set()
    while waiting:
        device = waiting.pop()
        if device in seen:
            continue
        seen.add(device)
        base = os.path.join(SYS_BLOCK, device)
        backing = _read(base, "loop/backing_file")
        if backing:
            yield os.path.realpath(backing)
        if os.path.exists(os.path.join(base, "partition")):
            waiting.append(_read(os.path.realpath(base), "../dev"))
        waiting.extend(_read(path) for path in glob.glob(base + "/slaves/*/dev"))


def swap_files() -> Dict[str, Set[int]]:
    """Inode numbers of the active swap files, by the device of their file system as stat(2) names it."""
    found = {}                   # type: Dict[str, Set[int]]
    for line in _read("/proc/swaps").splitlines()[1:]:
        fields = line.split()
        if len(fields) > 1 and fields[1] == "file":
            try:
                status = os.stat(unescape(fields[0]))
            except OSError:
                continue         # removed while in use: its blocks belong to no file that could be told from others
            found.setdefault(device_number(status.st_dev), set()).add(status.st_ino)
    return found


def served_over_nfs() -> Set[str]:
    """Devices, as stat(2) names them, of file systems that NFS clients use: they may write without a change of the inode (delegations)."""
    found = set()                # type: Set[str]
    for line in _read("/proc/fs/nfsd/exports").splitlines():
        path = unescape(line.split("\t")[0])
        if path.startswith("/"):
            try:
                found.add(device_number(os.stat(path).st_dev))
            except OSError:
                continue
    return found


def partition_device(disk: CapturedDisk, start: int, size: int) -> str:
    """The block device "major:minor" of exactly this stretch of a disk that is a block device, or ""."""
    status = os.stat(disk.path)
    if not stat.S_ISBLK(status.st_mode):
        return ""
    own = device_number(status.st_rdev)
    if (start, size) == (0, disk.size):
        return own
    for entry in glob.glob(os.path.join(SYS_BLOCK, own, "*", "partition")):
        base = os.path.dirname(entry)
        if (SECTOR * int(_read(base, "start") or 0), SECTOR * int(_read(base, "size") or 0)) == (start, size):
            return _read(base, "dev")
    return ""


def device_number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _read(base: str, name: str = "") -> str:
    """The text of a file of sysfs, "" where there is none."""
    try:
        with open(os.path.join(base, name) if name else base, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""
