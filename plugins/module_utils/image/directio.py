# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing past the page cache.

A restored disk is written once and not read again soon. Through the page cache each of its pages is first allocated and then written
back: on virtual machines, whose fresh memory comes from the host page by page, that took ten times the processor time and
three times as long as O_DIRECT. Where the file system has no O_DIRECT the ordinary way is taken.
"""

import errno
import mmap
import os
import threading

_ALIGNMENT = 4096                # of offset, length and memory: enough for every logical sector size in use


class Writer:
    """Positional writes to one open file or device, by several threads at once. Raises OSError."""

    def __init__(self, path: str, fd: int):
        """`fd` is open for writing; `path` is the same file, to be opened once more."""
        self._fd = fd
        self._direct = -1
        self._local = threading.local()
        try:
            self._direct = os.open(path, os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
        except OSError:
            pass

    def write(self, data, offset: int) -> None:
        view = memoryview(data)
        whole = len(view) - len(view) % _ALIGNMENT if self._direct >= 0 and offset % _ALIGNMENT == 0 else 0
        if whole and not self._write_direct(view[:whole], offset):
            whole = 0
        while whole < len(view):
            whole += os.pwrite(self._fd, view[whole:], offset + whole)

    def _write_direct(self, view: memoryview, offset: int) -> bool:
        """False: nothing was written, this file system cannot do it."""
        buffer = getattr(self._local, "buffer", None)
        if buffer is None or len(buffer) < len(view):
            buffer = self._local.buffer = mmap.mmap(-1, len(view))       # page-aligned
        buffer[:len(view)] = view
        aligned = memoryview(buffer)
        done = 0
        while done < len(view):
            try:
                written = os.pwrite(self._direct, aligned[done:len(view)], offset + done)
            except OSError as error:
                if error.errno != errno.EINVAL or done:
                    raise
                return False
            done += written
        return True

    def close(self) -> None:
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1
