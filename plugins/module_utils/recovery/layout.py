# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what lies on the given disks, and refuses disks that are in use."""

import fcntl
import os
import stat
import struct
import time

from ..errors import TargetError
from ..machine.disk import read_disk
from ..source.btrfstree import read_superblock
from ..source.hostuse import read_write_mounts
from ..source.mapread import MapUnknown
from . import loop, processes
from .model import Member, Volume
from .session import loop_name
from .state import other_records

BLKSSZGET = 0x1268      # linux/fs.h: the logical sector size
_NAMELESS = ("empty", "unknown")
_PATIENCE = 2.0         # seconds; a user may be on its way out, or only be udev having a look


def read_layouts(disks):
    """A machine.model.Disk for each RestoredDisk. Raises TargetError."""
    if not disks:
        raise TargetError("No disks were given.")
    names = [disk.name for disk in disks]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise TargetError(f"Several disks have the name {', '.join(doubled)}. Give each disk the name that it had at the source.")
    seen = {}
    for disk in disks:
        if "/" in disk.name or not disk.name:
            raise TargetError(f"{disk.name!r} is no disk name. Give the name that the disk had at the source, such as sda.")
        key = _identity(disk)
        if key in seen:
            raise TargetError(f"The disks {seen[key]} and {disk.name} are the same: {disk.path}.")
        seen[key] = disk.name
    return tuple(_read_layout(disk) for disk in disks)


def volumes_of(disks, layouts):
    """All that the disks hold, as a tuple of Volume: partitions, and disks without a partition table."""
    found = []
    for disk, layout in zip(disks, layouts):
        if not layout.partitions and layout.content.kind not in _NAMELESS:
            found.append(Volume(disk.name, 0, disk.path, 0, layout.size, layout.content))
        for part in layout.partitions:
            found.append(Volume(disk.name, part.number, disk.path, part.start, part.size, part.content, part.uuid, part.name))
    return _joined(found)


def _joined(volumes):
    """A btrfs on several devices as one volume, its first device. Clones, each whole by itself, stay apart: nobody can tell which is meant."""
    joined = []
    devices = {}
    for volume in volumes:
        superblock = _btrfs_superblock(volume) if volume.content.kind == "btrfs" else None
        if superblock is None or superblock.devices == 1:
            joined.append(volume)
        else:
            devices.setdefault((superblock.fsid, superblock.devices), {}).setdefault(superblock.device, []).append(volume)
    for (_fsid, count), by_number in devices.items():
        members = [each for _number, same in sorted(by_number.items()) for each in same]
        if len(members) > len(by_number):
            joined += members
            continue
        first, others = members[0], members[1:]
        joined.append(first._replace(aliases=first.aliases + tuple(f"/dev/{each.label}" for each in others), lacks=count - len(members),
                                     members=tuple(Member(each.label, each.partition, each.path, each.start, each.size) for each in others)))
    order = {(each.path, each.start): number for number, each in enumerate(volumes)}
    return tuple(sorted(joined, key=lambda each: order[(each.path, each.start)]))


def _btrfs_superblock(volume):
    """None where it is damaged, or of a kind that is not known; then the kernel may say more."""
    with open(volume.path, "rb", buffering=0) as stream:
        try:
            return read_superblock(lambda offset, length: _read(stream.fileno(), volume.start + offset, length), volume.size)
        except (MapUnknown, OSError):
            return None


def refuse_used(disks, read_only, state):
    """Raises TargetError if a disk is mounted, or if somebody may write to it or, for a writable mount, relies on it."""
    records = other_records(state.folder, state.tag)
    deadline = time.monotonic() + _PATIENCE
    for disk in disks:
        users = _users(disk, read_only, state.tag, records)
        while users and time.monotonic() < deadline:
            time.sleep(0.1)
            users = _users(disk, read_only, state.tag, records)
        if users:
            raise TargetError(f"Disk {disk.name} ({disk.path}) is in use by {', '.join(users)}. "
                              "Two users would destroy it: end the other one first.")


def _users(disk, read_only, tag, records):
    status = os.stat(disk.path)
    records = [record for record in records if any(_is_same(status, other.path) for other in record.disks)]
    users = [f"the machine mounted at {record.mount_point}" for record in records]
    users += [f"the read-write mount at {point}" for point in read_write_mounts(status)]
    if not read_only and not users:
        users += [device.path for device in loop.devices_over([disk.path]) if device.name != loop_name(tag)]
        users += processes.writers_of(disk.path)
        users += _exclusive_use(disk, status)
    return users


def _read_layout(disk):
    with open(disk.path, "rb", buffering=0) as stream:
        size = stream.seek(0, os.SEEK_END)
        if not size:
            raise TargetError(f"Disk {disk.name}: {disk.path} is empty (0 bytes).")
        is_device = stat.S_ISBLK(os.fstat(stream.fileno()).st_mode)
        if disk.size and (size < disk.size or size > disk.size and not is_device):
            raise TargetError(f"Disk {disk.name}: {disk.path} has {size} bytes, not {disk.size}. "
                              "It was not restored completely, or is another disk.")
        sector_size = disk.sector_size
        if not sector_size:
            sector_size = struct.unpack("i", fcntl.ioctl(stream, BLKSSZGET, bytes(4)))[0] if is_device else 512
        try:
            return read_disk(disk.name, lambda offset, length: _read(stream.fileno(), offset, length), size, sector_size)
        except OSError as error:
            raise TargetError(f"Disk {disk.name} ({disk.path}) cannot be read: {error.strerror}.") from error


def _read(descriptor, offset, length):
    parts = []
    while length > 0:
        data = os.pread(descriptor, length, offset)
        if not data:
            break
        parts.append(data)
        offset += len(data)
        length -= len(data)
    return b"".join(parts)


def _identity(disk):
    try:
        status = os.stat(disk.path)
        if stat.S_ISBLK(status.st_mode):
            return ("device", status.st_rdev)
        if stat.S_ISREG(status.st_mode):
            return ("file", status.st_dev, status.st_ino)
    except OSError as error:
        raise TargetError(f"Disk {disk.name}: {disk.path} cannot be opened: {error.strerror}.") from error
    raise TargetError(f"Disk {disk.name}: {disk.path} is neither a raw disk file nor a block device.")


def _is_same(status, path):
    try:
        other = os.stat(path)
    except OSError:
        return False
    if stat.S_ISBLK(status.st_mode):
        return stat.S_ISBLK(other.st_mode) and other.st_rdev == status.st_rdev
    return os.path.samestat(status, other)


def _exclusive_use(disk, status):
    """The kernel itself says if a block device or a partition of it is claimed: by a mount, LVM, MD, swap (open(2), O_EXCL)."""
    if not stat.S_ISBLK(status.st_mode):
        return []
    try:
        os.close(os.open(disk.path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        return [f"the kernel ({error.strerror})"]
    return []
