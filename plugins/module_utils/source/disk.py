# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks to capture: raw disk files and block devices, opened for reading only."""

import errno
import fcntl
import os
import stat
import struct
from typing import Iterator, Tuple

from ..errors import SourceError
from .directread import DirectReader
from .hostuse import read_write_mounts

# ioctl numbers of linux/fs.h, the same on every architecture Linux runs servers on.
BLKSSZGET = 0x1268      # logical sector size
BLKFLSBUF = 0x1261      # write back and drop the buffer cache


class DiskSource:
    """One open disk. `read_at` may be called from many threads at once."""

    def __init__(self, fd: int, path: str, name: str, size: int, sector_size: int, is_device: bool):
        self.name = name
        self.path = path
        self.size = size
        self.sector_size = sector_size
        self._fd = fd
        self._is_device = is_device

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`, fewer only at the end of the disk. SourceError where the disk cannot be read."""
        wanted = max(0, min(length, self.size - offset))
        data = self._pread(offset, wanted)
        if len(data) == wanted:
            return data
        parts = [data]
        missing = wanted - len(data)
        while missing:
            data = self._pread(offset + wanted - missing, missing)
            if not data:
                raise SourceError(f"Disk {self.name} ({self.path}) ended at {offset + wanted - missing} although it had {self.size} bytes "
                                  "when it was opened. Keep it unchanged while it is captured.")
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def _pread(self, offset: int, length: int) -> bytes:
        if self._fd < 0:
            raise SourceError(f"Disk {self.name} ({self.path}) was read after it had been closed.")
        try:
            return os.pread(self._fd, length, offset)
        except OSError as error:
            raise SourceError(f"Disk {self.name} ({self.path}) cannot be read at offset {offset}, length {length}: {error.strerror}. "
                              "Check the disk and the kernel log.") from error

    def allocated(self) -> Iterator[Tuple[int, int]]:
        """The stretches [start, end) that a disk file holds, in order; its holes read as zeros. All of a block device.

        lseek(2), SEEK_DATA and SEEK_HOLE: where a file system knows no holes, the file is one stretch.
        """
        end = 0
        while end < self.size:
            start, end = end, self.size
            if not self._is_device:
                try:
                    start = os.lseek(self._fd, start, os.SEEK_DATA)
                    end = os.lseek(self._fd, start, os.SEEK_HOLE)
                except OSError as error:
                    if error.errno == errno.ENXIO:       # nothing but a hole up to the end
                        return
                    if error.errno != errno.EINVAL:
                        raise SourceError(f"Disk {self.name} ({self.path}) does not tell its holes: {error.strerror}.") from error
            yield start, min(end, self.size)

    def direct(self) -> "DirectReader":
        """A reader of what is on the disk now, past every cache: of a mounted file system that was frozen, or that is in use.

        Where a device cannot be read so, and for a disk file, whose cache its loop devices share, it reads the ordinary way: `refresh` then
        has to be called after each freeze.
        """
        return DirectReader(self._fd, self.read_at, self.sector_size if self._is_device else 0, self.size)

    def refresh(self) -> None:
        """Forget what the kernel has cached of a block device. Call it after file systems on it were frozen.

        A mounted file system writes its file data (xfs: also its metadata) past the cache of the device node, so that cache may be stale.
        """
        if not self._is_device:
            return
        try:
            fcntl.ioctl(self._fd, BLKFLSBUF, 0)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM):
                raise SourceError(f"Disk {self.name} ({self.path}) cannot be flushed: {error.strerror}.") from error
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> "DiskSource":
        return self

    def __exit__(self, *exc_info) -> None:
        self.close()


def open_disk(path: str, name: str, live: bool = False) -> DiskSource:
    """Open a raw disk file or block device for capture.

    live: the caller sees to consistency of file systems that are mounted from it (freezes them, or treats the image as crash
    consistent). Without it a disk from which something is mounted read-write on this host is refused.
    Raises SourceError: missing, unreadable, neither file nor block device, empty, in use.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SourceError(f"Disk {name} cannot be opened at {path}: {error.strerror}.") from error
    try:
        source = _describe(fd, path, name)
        if not live:
            _refuse_mounted(fd, path, name)
        source.refresh()
    except BaseException:
        os.close(fd)
        raise
    return source


def _describe(fd: int, path: str, name: str) -> DiskSource:
    status = os.fstat(fd)
    is_device = stat.S_ISBLK(status.st_mode)
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"Disk {name}: {path} is a directory. Name a raw disk file or a block device.")
    if not is_device and not stat.S_ISREG(status.st_mode):
        raise SourceError(f"Disk {name}: {path} is neither a file nor a block device.")
    try:
        size = os.lseek(fd, 0, os.SEEK_END)
        sector_size = struct.unpack("i", fcntl.ioctl(fd, BLKSSZGET, bytes(4)))[0] if is_device else 512
    except OSError as error:
        raise SourceError(f"Disk {name}: size of {path} cannot be told: {error.strerror}.") from error
    if size == 0:
        raise SourceError(f"Disk {name}: {path} is empty (0 bytes).")
    return DiskSource(fd, path, name, size, sector_size, is_device)


def _refuse_mounted(fd: int, path: str, name: str) -> None:
    mounts = read_write_mounts(os.fstat(fd))
    if mounts:
        raise SourceError(f"Disk {name} ({path}) is in use: mounted read-write on this host at {', '.join(mounts)}. "
                          "Unmount it, capture a snapshot of it, or freeze its file systems.")
