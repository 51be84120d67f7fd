# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The container of a ZIA file: a pax archive (POSIX.1-2001) whose members are objects of a repository by their names.

docs/format.md section 15 specifies it. A header follows from name and size alone, so the reader makes the one that must be
there and compares: it interprets nothing that the writer does not write. Both run from front to end and work on pipes.
"""

import hashlib
import json
import struct
from typing import BinaryIO, Iterator, Tuple

from ..errors import DamagedObjectError, RepositoryError, SourceError
from ..repository.datakey import PREFIX as DATA_KEYS
from ..repository.repository import MAX_CHUNK_SIZE
from ..repository.slots import PREFIX as SLOTS
from ..repository.store import MAX_OBJECT_SIZE, ROOT, check_name
from .envelope import OVERHEAD
from .index import MAX_PAGE_SIZE
from .manifest import MAX_MANIFEST_SIZE, PREFIX as IMAGES

END = "end.json"
_KIND = "agnostic.recovery image file"
_BLOCK = 512
_SHORT_NAME = 100                        # bytes; a longer name has an extended header
_MAX_RECORD = 2 << 10
_FILE, _EXTENDED = b"0", b"x"
# name, mode, uid, gid, size, mtime, checksum, type, link name, magic and version, user, group, device numbers, prefix
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_CLOSING = bytes(2 * _BLOCK)

# What a reader takes into memory, by the beginning of the name.
_LIMITS = ((ROOT, 64 << 10), (SLOTS, 64 << 10), (DATA_KEYS, 64 << 10), (END, 64 << 10), (IMAGES, MAX_MANIFEST_SIZE + OVERHEAD),
           ("index/", MAX_PAGE_SIZE + OVERHEAD), ("chunks/", MAX_CHUNK_SIZE + OVERHEAD))


class ContainerWriter:
    """Writes a container to an open binary file. Raises OSError where that does."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._digest = hashlib.sha256()
        self.objects = 0
        self.size = 0                    # bytes written so far

    def add(self, name: str, data: bytes) -> None:
        """Append an object."""
        for part in (_header(name, len(data)), data, bytes(-len(data) % _BLOCK)):
            self._file.write(part)
            self._digest.update(part)
            self.size += len(part)
        self.objects += 1

    def finish(self) -> None:
        """Append the end mark."""
        mark = {"kind": _KIND, "objects": self.objects, "sha256": self._digest.hexdigest()}
        self.add(END, _canonical(mark) + b"\n")
        self._file.write(_CLOSING)
        self.size += len(_CLOSING)


def read_container(file: BinaryIO, label: str) -> Iterator[Tuple[str, bytes]]:
    """(name, data) of every object. An object may be used only as far as it proves itself; that the file is whole is known at the end.

    Raises DamagedObjectError: it was altered or cut short, or is no such file; SourceError: `file` cannot be read.
    """
    reader = _Reader(file, label)
    objects = 0
    while True:
        digest = reader.digest.hexdigest()
        name, data = reader.member()
        if name == END:
            break
        objects += 1
        yield name, data
    if data != _canonical({"kind": _KIND, "objects": objects, "sha256": digest}) + b"\n":
        raise reader.damaged("it does not agree with the checksum at its end")
    if reader.take(len(_CLOSING)) != _CLOSING or reader.read(1):
        raise reader.damaged("it does not end as it must")


class _Reader:

    def __init__(self, file: BinaryIO, label: str):
        self._file = file
        self._label = label
        self.digest = hashlib.sha256()

    def member(self) -> Tuple[str, bytes]:
        header = block = self.take(_BLOCK)
        if block[156:157] == _EXTENDED:
            length = self._size(block)
            if length > _MAX_RECORD:
                raise self.damaged("a header in it is not valid")
            record = self.take(length + -length % _BLOCK)
            block = self.take(_BLOCK)
            header = header + record + block
            text = record[:length].partition(b" path=")[2][:-1]
        else:
            text = block[:_SHORT_NAME].rstrip(b"\0")
        size = self._size(block)
        try:
            name = check_name(text.decode("ascii"))
        except (UnicodeDecodeError, RepositoryError):
            raise self.damaged("a name in it is none of a repository's")
        if header != _header(name, size):
            raise self.damaged("a header in it is not valid")
        if size > max([limit for prefix, limit in _LIMITS if name.startswith(prefix)] or [MAX_OBJECT_SIZE]):
            raise self.damaged(f"the object {name} in it is larger than such an object can be")
        data = self.take(size)
        if any(self.take(-size % _BLOCK)):
            raise self.damaged("what fills up a block is not zero")
        return name, data

    def _size(self, block: bytes) -> int:
        try:
            return int(block[124:135], 8)
        except ValueError:
            raise self.damaged("it is no ZIA file, or a header in it is not valid")

    def take(self, length: int) -> bytes:
        data = self.read(length)
        if len(data) != length:
            raise self.damaged("it is cut short")
        self.digest.update(data)
        return data

    def read(self, length: int) -> bytes:
        try:
            return self._file.read(length)
        except OSError as error:
            raise SourceError(f"The file {self._label} cannot be read: {error.strerror}.") from error

    def damaged(self, what: str) -> DamagedObjectError:
        return DamagedObjectError(f"The file {self._label} is damaged: {what}.")


def _header(name: str, size: int) -> bytes:
    text = name.encode("ascii")
    if len(text) <= _SHORT_NAME:
        return _block(text, size, _FILE)
    record = _path_record(text)
    return _block(b"path", len(record), _EXTENDED) + record + bytes(-len(record) % _BLOCK) + _block(text[:_SHORT_NAME], size, _FILE)


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    header = _HEADER.pack(name, b"0000444", b"0000000", b"0000000", b"%011o" % size, b"%011o" % 0, b" " * 8, kind, b"", b"ustar\x0000",
                          b"", b"", b"0000000", b"0000000", b"")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def _path_record(text: bytes) -> bytes:
    """A record of an extended header; it begins with its own length in decimal digits."""
    body = b" path=" + text + b"\n"
    length = len(body) + len(str(len(body)))
    if len(str(length)) > len(str(len(body))):
        length += 1
    return b"%d" % length + body


def _canonical(fields: dict) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")
