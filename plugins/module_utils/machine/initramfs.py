# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads an initramfs as the kernel does.

Format: kernel Documentation/driver-api/early-userspace/buffer-format.rst: cpio archives in the "newc" or "crc" form one after the other, each plain or
inside a compressed stream, zero bytes between. Meaning (init/initramfs.c): later entries replace earlier ones, an entry whose parent folder is not there is
lost, links in the parent path are followed, a link is replaced by a folder entry of the same path.

The file is streamed: memory holds the list of entries and the content of those that the caller asks for, never the archive.
"""

import os
import stat

from typing import Callable, Dict, NamedTuple, Optional, Tuple

from ..errors import MachineError
from . import unpack
from .modules import driver_class, is_module, module_name

UNPACKED_LIMIT = 2 * 1024 * 1024 * 1024      # bytes; the largest seen in the field (rescue images with all firmware) unpack to about 700 MiB
ENTRY_LIMIT = 200000
CONTENT_LIMIT = 64 * 1024 * 1024             # bytes of one entry whose content is asked for
PATH_LIMIT = 4096                            # PATH_MAX of the kernel, with the final NUL

_BLOCK = 256 * 1024
_HEADER = 110                                # bytes of a newc header: magic and 13 numbers of 8 hexadecimal digits


class Entry(NamedTuple):
    mode: int                    # as st_mode: type and permissions
    size: int
    link: str = ""               # target of a symbolic link
    data: Optional[bytes] = None # only of what the caller asked for


class Segment(NamedTuple):
    """One plain cpio archive or one compressed stream of archives."""
    offset: int                  # in the file
    length: int                  # bytes in the file
    compression: str             # "" is plain
    unpacked: int                # bytes
    entries: int


class Initramfs(NamedTuple):
    entries: Dict[str, Entry]    # canonical path without leading slash: "usr/lib/modules/…"; what the kernel would have in its root at the end
    segments: Tuple[Segment, ...]
    size: int                    # bytes of the file

    def resolve(self, path: str) -> str:
        """The canonical path that `path` leads to, links followed. It need not exist."""
        return _resolve(self.entries, path.strip("/"))

    def has(self, path: str) -> bool:
        return self.resolve(path) in self.entries

    def modules(self, version: str = "") -> Dict[str, str]:
        """name -> path of the kernel modules in it, of one kernel version or of all."""
        folder = f"lib/modules/{version}/" if version else "lib/modules/"
        found = {}
        for path, entry in self.entries.items():
            if folder in path and is_module(path) and (path.startswith(folder) or "/" + folder in path) and stat.S_ISREG(entry.mode):
                found[module_name(path)] = path
        return found


def initramfs_drivers(tree, path: str) -> Tuple[str, ...]:
    """The normalised names of the storage drivers that the initramfs at `path` of a mounted root holds, sorted.

    Raises MachineError when it is none or is damaged.
    """
    found = read_initramfs(tree, path).modules()
    return tuple(sorted(name for name, inside in found.items() if driver_class(inside) == "storage"))


def read_initramfs(tree, path: str, wanted: Optional[Callable[[str], bool]] = None) -> Initramfs:
    """Reads the initramfs at `path` of a mounted root.

    `wanted` chooses by canonical path whose content is kept. Raises MachineError.
    """
    try:
        # The resolved path has no links left; O_NOFOLLOW holds should one appear in between.
        descriptor = os.open(tree.host_path(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise MachineError(f"The initramfs {path} cannot be read: {error.strerror}.")
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MachineError(f"The initramfs {path} is not a file.")
        return parse_initramfs(stream, path, wanted)


def parse_initramfs(stream, name: str, wanted: Optional[Callable[[str], bool]] = None, limit: int = UNPACKED_LIMIT) -> Initramfs:
    """The same from a seekable binary stream; `name` is for messages, `limit` bounds the unpacked bytes."""
    root = _Root(name, wanted)
    segments = []
    size = stream.seek(0, os.SEEK_END)
    position = _skip_zeros(stream, 0)
    unpacked = 0
    while position < size:
        stream.seek(position)
        head = stream.read(6)
        packing = unpack.compression(head)
        if packing:
            blocks = _Unpacked(stream, position, packing, name)
        elif head in (b"070701", b"070702") and position % 4 == 0:
            blocks = _Plain(stream, position, size)
        else:
            raise MachineError(f"{name} is no initramfs that the kernel can read: unknown data at offset {position}.")
        archive = _Archive(blocks, name, position, limit - unpacked)
        before = root.count
        archive.unpack_into(root)
        end = blocks.end()
        segments.append(Segment(position, end - position, packing, archive.consumed, root.count - before))
        unpacked += archive.consumed
        position = _skip_zeros(stream, end)
    if not segments:
        raise MachineError(f"{name} is no initramfs: it is empty.")
    return Initramfs(root.entries, tuple(segments), size)


def _skip_zeros(stream, position):
    while True:
        stream.seek(position)
        block = stream.read(_BLOCK)
        kept = block.lstrip(b"\0")
        if kept or not block:
            return position + len(block) - len(kept)
        position += len(block)


class _Plain:
    """Blocks of a plain archive: the file's own bytes."""
    plain = True

    def __init__(self, stream, position, size):
        self._stream, self._position, self._size = stream, position, size
        self._unused = 0

    def next(self):
        self._stream.seek(self._position)
        block = self._stream.read(min(_BLOCK, self._size - self._position))
        self._position += len(block)
        return block

    def skip(self, count):
        """Leaves out up to `count` bytes without reading them; gives how many."""
        count = min(count, self._size - self._position)
        self._position += count
        return count

    def give_back(self, count):
        self._unused = count

    def end(self):
        return self._position - self._unused


class _Unpacked:
    """Blocks of one compressed stream."""
    plain = False

    def __init__(self, stream, position, packing, name):
        self._stream, self._start, self._name = stream, position, name
        self._position = position
        self._packing = packing
        self._unpacker = unpack.decompressor(packing)

    def next(self):
        while not self._unpacker.eof:
            data = b""
            if self._unpacker.needs_input:
                self._stream.seek(self._position)
                data = self._stream.read(_BLOCK)
                self._position += len(data)
                if not data:
                    if unpack.ends_with_file(self._unpacker):
                        break
                    raise MachineError(f"{self._name} is damaged: its {self._packing} stream at offset {self._start} ends too early.")
            try:
                block = self._unpacker.decompress(data, _BLOCK)
            except unpack.ERRORS as error:
                raise MachineError(f"{self._name} is damaged: its {self._packing} stream at offset {self._start} cannot be unpacked ({error}).")
            if block:
                return block
        return b""

    def skip(self, count):
        return 0

    def end(self):
        return self._position - len(self._unpacker.unused_data)


class _Archive:
    """Takes the cpio archives of one segment apart."""

    def __init__(self, blocks, name, offset, limit):
        self._blocks, self._name, self._offset, self._limit = blocks, name, offset, limit
        self._buffer = b""
        self._at = 0
        self.consumed = 0                        # unpacked bytes taken so far

    def unpack_into(self, root):
        while True:
            header = self._read(_HEADER)
            if header is None:
                return
            try:
                numbers = _numbers(header)
            except ValueError:
                raise self._damaged("no cpio header where one should be")
            inode, mode, nlink, size, name_size = numbers[0], numbers[1], numbers[4], numbers[6], numbers[11]
            device = (numbers[7], numbers[8])
            if not 0 < name_size <= PATH_LIMIT:
                raise self._damaged(f"an entry's name is {name_size} bytes long")
            raw = self._read(name_size)
            self._align()
            if raw is None:
                raise self._damaged("it ends inside a name")
            path = raw.rstrip(b"\0").decode("utf-8", "surrogateescape")
            if path == "TRAILER!!!":
                self._skip(size)
                root.end_archive()
                if not self._next_archive():
                    return
                continue
            content = b""
            if stat.S_ISLNK(mode):
                if size > PATH_LIMIT:
                    raise self._damaged(f"the target of the link {path!r} is too long")
                content = self._read(size)
            elif size and root.wants(path):
                if size > CONTENT_LIMIT:
                    raise MachineError(f"{self._name}: {path} is {size} bytes long; more than {CONTENT_LIMIT} are not read.")
                content = self._read(size)
            else:
                content = None if self._skip(size) else b""
            if content is None and not self._complete:
                raise self._damaged(f"it ends inside {path!r}")
            self._align()
            root.add(path, mode, size, (inode, device) if nlink > 1 else None, content)

    _complete = True

    def _damaged(self, what):
        return MachineError(f"{self._name} is damaged: {what} (in the archive at offset {self._offset}).")

    def _fill(self):
        """The next block into the buffer. False at the end."""
        self._buffer = self._blocks.next()
        self._at = 0
        return bool(self._buffer)

    def _take(self, count):
        self.consumed += count
        if self.consumed > self._limit:
            raise MachineError(f"{self._name} unpacks to more bytes than are read from an initramfs. It is damaged or hostile.")

    def _read(self, count):
        end = self._at + count
        if end <= len(self._buffer):
            piece = self._buffer[self._at:end]
            self._at = end
            self._take(count)
            return piece
        pieces = [self._buffer[self._at:]]
        missing = count - len(pieces[0])
        while missing:
            if not self._fill():
                if count == _HEADER and missing == count:
                    return None                  # a proper end: no byte of a next header
                raise self._damaged("it ends too early")
            piece = self._buffer[:missing]
            self._at = len(piece)
            pieces.append(piece)
            missing -= len(piece)
        self._take(count)
        return b"".join(pieces)
