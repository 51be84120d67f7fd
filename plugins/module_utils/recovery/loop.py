# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loop devices over one partition of a disk, by the ioctls of linux/loop.h (loop(4)).

Not losetup(8), for one reason: LOOP_CONFIGURE (Linux 5.8) sets file, limits and LO_FLAGS_AUTOCLEAR in one step. The kernel then
detaches the device by itself when its last user is gone: at umount, or when we are killed before the mount. No moment exists in which
kill -9 leaves a loop device behind. Older kernels take two steps; `stale_devices` finds what such a kill left.
"""

import contextlib
import errno
import fcntl
import glob
import os
import re
import struct
from typing import NamedTuple

from ..errors import TargetError

LOOP_SET_FD = 0x4C00
LOOP_CLR_FD = 0x4C01
LOOP_SET_STATUS64 = 0x4C04
LOOP_GET_STATUS64 = 0x4C05
LOOP_CONFIGURE = 0x4C0A
LOOP_CTL_GET_FREE = 0x4C82
LO_FLAGS_READ_ONLY = 1
LO_FLAGS_AUTOCLEAR = 4
LO_FLAGS_DIRECT_IO = 16

# struct loop_info64: device, inode, rdevice, offset, sizelimit, number, encrypt_type, encrypt_key_size, flags, file_name,
# crypt_name, encrypt_key, init[2]. struct loop_config: fd, block_size, loop_info64, reserved[8].
_INFO = struct.Struct("=QQQQQIIII64s64s32s2Q")
_CONFIG = struct.Struct(f"=II{_INFO.size}s64x")
_BLOCK_SIZE = 512   # bytes; by default direct I/O would show the sectors of the worker's disk, too large for some file systems
_ATTEMPTS = 64      # another process may take the free device before us, as often


class LoopDevice(NamedTuple):
    path: str           # /dev/loop3
    device: int         # st_dev of the backing file
    inode: int
    offset: int
    size: int           # bytes; 0: up to the end
    flags: int
    name: str           # lo_file_name: whatever the creator wrote there


def attach(path, offset, size, read_only, name):
    """Attaches bytes [offset, offset + size) of a file or block device. Returns (descriptor, device path).

    The device lives as long as the descriptor or a mount of it. `name` (at most 63 bytes) marks it as ours. Raises TargetError.
    """
    try:
        with _opened(path, os.O_RDONLY if read_only else os.O_RDWR) as backing, _opened("/dev/loop-control", os.O_RDWR) as control:
            for _attempt in range(_ATTEMPTS):
                device = f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}"
                descriptor = os.open(device, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
                try:
                    _configure(descriptor, backing, offset, size, read_only, name)
                    return descriptor, device
                except OSError as error:
                    os.close(descriptor)
                    if error.errno != errno.EBUSY:
                        raise
    except OSError as error:
        raise TargetError(f"{path} cannot be attached to a loop device: {error}. "
                          "The worker needs loop devices (kernel module loop, /dev/loop-control) and the right to use them.") from error
    raise TargetError(f"{path} cannot be attached to a loop device: other processes took each free device first.")


def _configure(descriptor, backing, offset, size, read_only, name):
    flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO | (LO_FLAGS_READ_ONLY if read_only else 0)
    info = _info(offset, size, flags, name)
    try:
        fcntl.ioctl(descriptor, LOOP_CONFIGURE, _CONFIG.pack(backing, _BLOCK_SIZE, info))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTTY):
            raise
        # Linux before 5.8. Direct I/O is left out there: its ioctl fails where the backing file system cannot do it.
        fcntl.ioctl(descriptor, LOOP_SET_FD, backing)
        try:
            fcntl.ioctl(descriptor, LOOP_SET_STATUS64, _info(offset, size, flags & ~LO_FLAGS_DIRECT_IO, name))
        except OSError:
            fcntl.ioctl(descriptor, LOOP_CLR_FD)
            raise


def _info(offset, size, flags, name):
    return _INFO.pack(0, 0, 0, offset, size, 0, 0, 0, flags, os.fsencode(name)[:63], b"", b"", 0, 0)


def devices_over(paths):
    """The attached loop devices of this host that are backed by one of these files or block devices, as a list of LoopDevice.

    Devices of others are not even opened: that could keep them from detaching just then.
    """
    wanted = _identities(paths)
    found = []
    for folder in glob.glob("/sys/block/loop*/loop"):
        if not _may_be_over(folder, wanted):
            continue
        device = _status("/dev/" + re.match(r"/sys/block/(loop\d+)/", folder).group(1))
        if device and (device.device, device.inode) in wanted:
            found.append(device)
    return found


def _identities(paths):
    found = set()
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            found.add((status.st_dev, status.st_ino))
    return found


def _may_be_over(folder, wanted):
    try:
        with open(folder + "/backing_file", encoding="utf-8", errors="surrogateescape") as stream:
            status = os.stat(stream.read().rstrip("\n"))
    except FileNotFoundError:
        return True     # deleted or of another mount namespace: only the device itself knows
    except OSError:
        return False    # detached in between
    return (status.st_dev, status.st_ino) in wanted


def _status(path):
    try:
        with _opened(path, os.O_RDONLY) as descriptor:
            fields = _INFO.unpack(fcntl.ioctl(descriptor, LOOP_GET_STATUS64, bytes(_INFO.size)))
    except OSError:         # detached in between
        return None
    return LoopDevice(path, fields[0], fields[1], fields[3], fields[4], fields[8], os.fsdecode(fields[9].rstrip(b"\0")))


def detach(device):
    """Detaches a device that nobody uses any more."""
    with contextlib.suppress(OSError), _opened(device.path, os.O_RDONLY) as descriptor:
        fcntl.ioctl(descriptor, LOOP_CLR_FD)


@contextlib.contextmanager
def _opened(path, flags):
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
