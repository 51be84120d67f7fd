# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The blocks of one snapshot: a sparse file for those written to it, and those of its parents."""

import base64
import hashlib
import os
import uuid
from typing import NamedTuple

BLOCK = 524288


class File:
    """Blocks at their offsets. The name goes with its snapshot, the content with the last snapshot that inherits from it."""

    def __init__(self, path):
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, index, data):
        os.pwrite(self._fd, data, index * BLOCK)

    def read(self, index):
        return os.pread(self._fd, BLOCK, index * BLOCK).ljust(BLOCK, b"\0")

    def __del__(self):
        os.close(self._fd)


class Block(NamedTuple):
    file: File
    checksum: bytes
    token: str


def checksum_text(checksum):
    return base64.b64encode(checksum).decode("ascii")


class Blocks:
    """`found`: {index: Block}, those of the parent included; `written`: the indices that were put here."""

    def __init__(self, path, parent=None):
        self._file = File(path)
        self.found = dict(parent.found) if parent else {}
        self.written = set()

    def put(self, index, data):
        self._file.write(index, data)
        self.found[index] = Block(self._file, hashlib.sha256(data).digest(), uuid.uuid4().hex)
        self.written.add(index)

    def put_all(self, stream):
        """The blocks of a whole disk, without those that are zero."""
        for index, data in enumerate(iter(lambda: stream.read(BLOCK), b"")):
            if data.count(0) != len(data):
                self.put(index, data.ljust(BLOCK, b"\0"))

    def get(self, index):
        return self.found[index].file.read(index)

    def linear_checksum(self):
        return hashlib.sha256(b"".join(self.found[index].checksum for index in sorted(self.written))).digest()

    def remove(self):
        os.unlink(self._file.path)
