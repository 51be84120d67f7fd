# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory store whose chunks are not there: their names are known, their headers are made when they are asked for.

Everything else (manifests, pages, sessions, tombstones) is stored for real. The ids lie in a mapped file, so that they do not count as memory
of the process (RssAnon).
"""

import hashlib
import mmap
import os
import struct
from array import array
from bisect import bisect_left

from ansible_collections.agnostic.recovery.plugins.module_utils.repository.directory import DirectoryStore
from ansible_collections.agnostic.recovery.plugins.module_utils.repository.store import Entry, Peek

_HEADER = struct.Struct(">4sBBBx32s12sII4x")
_OVERHEAD = 80
_OLD = 1000000000.0


def chunk_id(number):
    return hashlib.sha256(b"chunk %d" % number).digest()


def make_ids(path, count):
    """The sorted ids of `count` chunks in a file, written in parts so that little memory is needed."""
    parts = 64
    files = [open(f"{path}.{part}", "w+b") for part in range(parts)]
    for number in range(count):
        identity = chunk_id(number)
        files[identity[0] * parts >> 8].write(identity)
    with open(path, "wb") as out:
        for file in files:
            file.seek(0)
            data = file.read()
            out.write(b"".join(sorted(data[at:at + 32] for at in range(0, len(data), 32))))
            file.close()
            os.unlink(file.name)


class ScaleStore(DirectoryStore):
    """Chunks are those in the file `ids`; what is deleted of them is remembered in a bit each."""

    settle = 0

    def __init__(self, path, ids, chunk_size):
        super().__init__(path)
        self._file = open(ids, "rb")
        self._ids = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._count = len(self._ids) // 32
        self._deleted = bytearray(self._count)
        self._keys = array("Q", (int.from_bytes(self._ids[at:at + 8], "big") for at in range(0, len(self._ids), 32)))
        self._head = _HEADER.pack(b"ZIAC", 1, 0, 0, bytes(32), bytes(12), chunk_size, chunk_size)
        self._size = _OVERHEAD + chunk_size

    def _find(self, name):
        identity = bytes.fromhex(name[-64:])
        place = bisect_left(self._keys, int.from_bytes(identity[:8], "big"))
        there = place < self._count and self._ids[32 * place:32 * place + 32] == identity
        return place if there and not self._deleted[place] else None

    def size(self, name):
        if not name.startswith("chunks/"):
            return super().size(name)
        return None if self._find(name) is None else self._size

    def peek(self, name, length):
        if not name.startswith("chunks/"):
            return super().peek(name, length)
        return None if self._find(name) is None else Peek(self._head[:length], self._size)

    def scan(self, prefix):
        if prefix != "chunks/":
            yield from super().scan(prefix)
            return
        for place in range(self._count):
            if not self._deleted[place]:
                digits = self._ids[32 * place:32 * place + 32].hex()
                yield Entry(f"chunks/{digits[:2]}/{digits}", self._size, _OLD)

    def delete_all(self, names):
        names = list(names)
        for name in names:
            if name.startswith("chunks/"):
                place = self._find(name)
                if place is not None:
                    self._deleted[place] = 1
        super().delete_all(name for name in names if not name.startswith("chunks/"))
