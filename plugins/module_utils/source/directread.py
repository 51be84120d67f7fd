# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a block device past the page cache of its node.

A mounted file system writes past that cache (xfs all, ext4 its file data; on a partition all of them past the cache of the whole disk), so
what is cached may be older than the disk. Dropping the cache (BLKFLSBUF) leaves behind pages that anybody else holds in that moment;
O_DIRECT does not look at it.
"""

import ctypes
import mmap
import os
import threading
from typing import Callable

_PAGE = 4096
_libc = ctypes.CDLL(None, use_errno=True)
_libc.pread64.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64]
_libc.pread64.restype = ctypes.c_ssize_t


class DirectReader:
    """`read_at` as that of a `DiskSource`, by O_DIRECT where the device can; by several threads at once. `is_direct` says which it is."""

    def __init__(self, fd: int, read_at: Callable[[int, int], bytes], alignment: int, size: int):
        """`alignment`: the device's sector size, 0: read the ordinary way. The disk may be closed after this reader only."""
        self._read_at = read_at
        self._alignment = alignment
        self._size = size
        self._fd = -1
        self._local = threading.local()
        if alignment:
            try:
                self._fd = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
                if self._pread(0, alignment) is None:
                    self.close()
            except OSError:
                pass
        self.is_direct = self._fd >= 0

    def read_at(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`, fewer only at the end of the disk. SourceError where the disk cannot be read."""
        length = max(0, min(length, self._size - offset))
        if length and self.is_direct:
            start = offset - offset % self._alignment
            end = min(self._size, offset + length + -(offset + length) % self._alignment)
            data = self._pread(start, end - start)
            if data is not None:
                return bytes(data[offset - start:offset - start + length])
            # Not readable so: the ordinary way says what is wrong, after it dropped what is cached.
            os.posix_fadvise(self._fd, start, end - start, os.POSIX_FADV_DONTNEED)
        return self._read_at(offset, length)

    def _pread(self, start: int, length: int):
        """A view of exactly that many bytes, good until the next call of this thread; None: the device did not give them."""
        buffer = getattr(self._local, "buffer", None)
        if buffer is None or len(buffer) < length:
            buffer = self._local.buffer = mmap.mmap(-1, max(length, 64 * _PAGE))      # page-aligned, as O_DIRECT wants it
            self._local.address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        done = 0
        while done < length:
            count = _libc.pread64(self._fd, self._local.address + done, length - done, start + done)
            if count <= 0:
                return None
            done += count
        return memoryview(buffer)[:length]

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
