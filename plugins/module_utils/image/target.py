# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a disk is restored to: a raw file or a block device.

A target offers `write(offset, data)` and `zero(offset, length)`, both called by several threads at once, and `finish`; what
was never written nor zeroed reads as zeros in a file only. Errors are TargetError.
"""

import errno
import fcntl
import os
import stat
import struct

from ..errors import TargetError
from .directio import Writer

_BLKZEROOUT = 0x127F             # linux/fs.h, _IO(0x12, 127): zero a range, by discard where that reads back as zeros
_HOLE = 64 << 10                 # zero runs of this size and alignment inside a chunk stay holes
_ZEROS = bytes(1 << 20)


def open_target(path: str, disk: str, size: int, overwrite: bool):
    """The target for a disk of `size` bytes at `path`: an existing block device, or a raw file that is made.

    Raises TargetError: the path cannot be used, a file exists and overwrite is not set, a device is too small or in use.
    """
    path = os.path.realpath(path)
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return FileTarget(path, disk, size, overwrite)
    except OSError as error:
        raise TargetError(f"The target {path} of disk {disk} cannot be used: {error.strerror}.") from error
    if stat.S_ISBLK(mode):
        return DeviceTarget(path, disk, size)
    if not stat.S_ISREG(mode):
        raise TargetError(f"The target {path} of disk {disk} is neither a file nor a block device.")
    if not overwrite:
        raise TargetError(f"The target {path} of disk {disk} exists already. Remove it, or allow it to be overwritten.")
    return FileTarget(path, disk, size, overwrite)


class FileTarget:
    """A raw disk file. Written beside its name as `<path>.partial`, sparse, and renamed when it is complete.

    After a failure the partial file stays, so that it can be looked at; the next restore to the same path replaces it.
    """
    needs_zeros = False
    is_file = True

    def __init__(self, path: str, disk: str, size: int, overwrite: bool):
        self.path = path
        self.disk = disk
        self.left_behind = path + ".partial"
        self._size = size
        self._overwrite = overwrite
        try:
            self._fd = os.open(self.left_behind, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TargetError(f"The target {path} of disk {disk} cannot be made: {error.strerror}.") from error
        if not take_lock(self._fd):
            os.close(self._fd)
            raise TargetError(f"Another restore is writing {self.left_behind}.")
        self.writer = Writer(self.left_behind, self._fd)
        try:
            os.ftruncate(self._fd, 0)
            os.ftruncate(self._fd, size)
        except OSError as error:
            self.discard()
            self.close()
            raise TargetError(f"The target {path} of disk {disk} cannot be made: {error.strerror}. "
                              f"(The file system must allow files of {size} bytes.)") from error

    def free_space(self):
        """(device number of the file system, bytes free on it)."""
        status = os.fstatvfs(self._fd)
        return os.fstat(self._fd).st_dev, status.f_bavail * status.f_frsize

    def write(self, offset: int, data) -> None:
        view = memoryview(data)
        for start, end in _data_runs(view):
            _write(self, view[start:end], offset + start)

    def zero(self, offset: int, length: int) -> None:
        """Nothing to do: the file was made empty."""

    def finish(self) -> None:
        try:
            os.fsync(self._fd)
            if self._overwrite:
                os.rename(self.left_behind, self.path)
            else:
                rename_new(self.left_behind, self.path)
            folder = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except FileExistsError:
            raise TargetError(f"The target {self.path} of disk {self.disk} came into being during the restore; "
                              f"the restored disk is in {self.left_behind}.")
        except OSError as error:
            raise _failed(self, error, "") from error
        self.left_behind = ""

    def discard(self) -> None:
        """Leave nothing behind: for a restore that ended before its first byte."""
        os.unlink(self.left_behind)
        self.left_behind = ""

    def close(self) -> None:
        self.writer.close()
        os.close(self._fd)


class DeviceTarget:
    """A block device, opened exclusively: the kernel refuses when it or one of its partitions is mounted or otherwise in use."""
    needs_zeros = True
    is_file = False

    def __init__(self, path: str, disk: str, size: int):
        self.path = path
        self.disk = disk
        self.left_behind = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise TargetError(f"The target {path} of disk {disk} is in use (mounted, swap, or part of a volume or array). "
                                  "Take it out of use first.") from error
            raise TargetError(f"The target {path} of disk {disk} cannot be opened: {error.strerror}.") from error
        self._size = os.lseek(self._fd, 0, os.SEEK_END)
        if self._size < size:
            os.close(self._fd)
            raise TargetError(f"The target {path} is too small for disk {disk}: it has {self._size} bytes, the disk {size}.")
        self._image_size = size
        self.writer = Writer(path, self._fd)

    def write(self, offset: int, data) -> None:
        _write(self, data, offset)

    def zero(self, offset: int, length: int) -> None:
        """Make a range read as zeros, by the device's own means where it has any."""
        if offset % 512 == 0 and length % 512 == 0:
            try:
                fcntl.ioctl(self._fd, _BLKZEROOUT, struct.pack("=QQ", offset, length))
                return
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP):
                    raise _failed(self, error, f" at byte {offset}") from error
        for at in range(offset, offset + length, len(_ZEROS)):
            _write(self, memoryview(_ZEROS)[:min(len(_ZEROS), offset + length - at)], at)

    def finish(self) -> None:
        """Zero what the device has beyond the disk (old backup tables and superblocks live there), and make all durable."""
        if self._size > self._image_size:
            self.zero(self._image_size, self._size - self._image_size)
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise _failed(self, error, "") from error
        self.left_behind = ""

    def discard(self) -> None:
        """Nothing was written yet."""
        self.left_behind = ""

    def close(self) -> None:
        self.writer.close()
        os.close(self._fd)


def take_lock(fd: int) -> bool:
    """Lock an open file. False: somebody else holds the lock. A file system without locks (NFS without a lock service) does without."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise
    return True


def _write(target, data, offset: int) -> None:
    try:
        target.writer.write(data, offset)
    except OSError as error:
        raise _failed(target, error, f" at byte {offset}") from error


def _data_runs(view: memoryview) -> list:
    """The stretches [start, end) of a chunk that are not zero, seen in blocks of _HOLE."""
    runs = []
    for start in range(0, len(view), _HOLE):
        end = min(start + _HOLE, len(view))
        # Most blocks show in their first bytes that they are data; comparing memoryviews is slow, so only these few are.
        if view[start:start + 16] == _ZEROS[:min(16, end - start)] and bytes(view[start:end]) == _ZEROS[:end - start]:
            continue
        if runs and runs[-1][1] == start:
            runs[-1][1] = end
        else:
            runs.append([start, end])
    return runs


def _failed(target, error: OSError, where: str) -> TargetError:
    advice = " Make room there and restore again." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return TargetError(f"Disk {target.disk} cannot be written to {target.path}{where}: {error.strerror}.{advice}")


def rename_new(source: str, path: str) -> None:
    """Rename without replacing. Raises FileExistsError."""
    try:
        os.link(source, path)
    except FileExistsError:
        raise
    except OSError:                      # a file system without hard links: the best that is left
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(source, path)
        return
    os.unlink(source)
