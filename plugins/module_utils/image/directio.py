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
        done = self._write_direct(view[:len(view) - len(view) % _ALIGNMENT], offset)
        while done < len(view):
            done += os.pwrite(self._fd, view[done:], offset + done)

    def _write_direct(self, view: memoryview, offset: int) -> int:
        """Write what O_DIRECT can; how much that was, from the start."""
        if self._direct < 0 or offset % _ALIGNMENT:
            return 0
        buffer = getattr(self._local, "buffer", None)
        if buffer is None or len(buffer) < len(view):
            buffer = self._local.buffer = mmap.mmap(-1, max(len(view), _ALIGNMENT))      # page-aligned
        buffer[:len(view)] = view
        aligned = memoryview(buffer)
        done = 0
        while done < len(view) and done % _ALIGNMENT == 0:
            try:
                done += os.pwrite(self._direct, aligned[done:len(view)], offset + done)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                break                # a file system that takes the flag but not the write
        return done

    def close(self) -> None:
        if self._direct >= 0:
            os.close(self._direct)
            self._direct = -1
