# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random file churn on a mounted file system. Every byte written is random, so a block that gets lost shows."""

import ctypes
import os

JBD2_MAGIC = b"\xc0\x3b\x39\x98"
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE = 1, 2, 0x10
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class Churn:
    """Does random things below `root`, driven by `random` (a random.Random). Stops at the first error of the file system."""

    def __init__(self, root, random, largest=600_000):
        self.root = root
        self.random = random
        self.largest = largest
        self.files = []
        self.folders = [root]
        self.serial = 0

    def run(self, steps):
        actions = (self.write, self.write, self.write, self.small, self.append, self.overwrite, self.truncate, self.delete, self.delete,
                   self.preallocate, self.punch, self.rename, self.link, self.folder, self.sparse)
        for _step in range(steps):
            try:
                self.random.choice(actions)()
            except OSError as error:
                if error.errno not in (28, 95, 31):     # full, not supported here, too many links: go on
                    raise

    def _new(self):
        self.serial += 1
        path = os.path.join(self.random.choice(self.folders), f"f{self.serial:06d}")
        self.files.append(path)
        return path

    def _some(self):
        if not self.files:
            self.write()
        return self.random.choice(self.files)

    def _bytes(self, length):
        """Sometimes data look like a block of a jbd2 journal, which a journal has to escape when it logs file data."""
        magic = JBD2_MAGIC if self.random.random() < 0.1 else b""
        return magic + os.urandom(max(1, length))

    def _maybe_sync(self, fd):
        if self.random.random() < 0.15:
            os.fsync(fd)

    def _store(self, path, offset, data, flags=os.O_CREAT):
        fd = os.open(path, os.O_RDWR | flags, 0o644)
        try:
            os.pwrite(fd, data, offset)
            self._maybe_sync(fd)
        finally:
            os.close(fd)

    def write(self):
        self._store(self._new(), 0, self._bytes(int(self.largest * self.random.random() ** 3)))

    def small(self):
        for _file in range(self.random.randrange(1, 40)):
            self._store(self._new(), 0, self._bytes(self.random.randrange(1, 5000)))

    def append(self):
        path = self._some()
        self._store(path, os.path.getsize(path), self._bytes(self.random.randrange(1, 100_000)))

    def overwrite(self):
        path = self._some()
        self._store(path, self.random.randrange(os.path.getsize(path) + 1), self._bytes(self.random.randrange(1, 100_000)))

    def truncate(self):
        path = self._some()
        os.truncate(path, int(os.path.getsize(path) * self.random.random() * 1.3))

    def delete(self):
        path = self._some()
        os.unlink(path)
        self.files.remove(path)

    def preallocate(self):
        self._fallocate(self._some(), 0, self.random.randrange(1_000_000), self.random.randrange(1, 300_000))

    def punch(self):
        mode = self.random.choice((FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, FALLOC_ZERO_RANGE))
        path = self._some()
        self._fallocate(path, mode, self.random.randrange(os.path.getsize(path) + 1), self.random.randrange(1, 100_000))

    def _fallocate(self, path, mode, offset, length):
        fd = os.open(path, os.O_RDWR)
        try:
            if _libc.fallocate(fd, mode, offset, length):
                raise OSError(ctypes.get_errno(), "fallocate")
            self._maybe_sync(fd)
        finally:
            os.close(fd)

    def rename(self):
        path = self._some()
        self.files.remove(path)
        os.rename(path, self._new())

    def link(self):
        os.link(self._some(), self._new())

    def folder(self):
        self.serial += 1
        path = os.path.join(self.random.choice(self.folders), f"d{self.serial:06d}")
        os.mkdir(path)
        self.folders.append(path)

    def sparse(self):
        self._store(self._new(), self.random.randrange(1, 5_000_000), self._bytes(self.random.randrange(1, 20_000)))
