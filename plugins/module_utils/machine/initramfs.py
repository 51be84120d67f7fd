# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads an initramfs as the kernel does.

Format: kernel Documentation/driver-api/early-userspace/buffer-format.rst: cpio archives one after the other, each plain or inside a
compressed stream, zero bytes between. Meaning (kernel init/initramfs.c): later entries replace earlier ones, links in the path of an
entry are followed, an entry whose parent folder is not there is lost, a link is replaced by a folder entry of the same path, and
nothing behind unknown or damaged data is unpacked.

The file is streamed: memory holds the list of entries and the content of those that the caller asks for, never the archive.
"""

import os
import stat

from typing import Callable, Dict, NamedTuple, Optional, Tuple

from ..errors import MachineError
from . import cpio, unpack
from .modules import driver_class, is_module, module_name

UNPACKED_LIMIT = 2 * 1024 * 1024 * 1024      # bytes; the largest known (rescue images with all firmware) unpack to about 700 MiB
ENTRY_LIMIT = 200000
CONTENT_LIMIT = 64 * 1024 * 1024             # bytes of one entry whose content is asked for
LINK_LIMIT = 40                              # links followed in one path, as in the kernel

_BLOCK = 256 * 1024
_BOOTCONFIG = b"#BOOTCONFIG\n"               # kernel Documentation/admin-guide/bootconfig.rst: size, checksum and this, at the very end


class Entry(NamedTuple):
    mode: int                        # as st_mode: type and permissions
    size: int
    link: str = ""                   # target of a symbolic link
    data: Optional[bytes] = None     # content, only of what the caller asked for


class Segment(NamedTuple):
    """One plain archive, or one compressed stream of archives."""
    offset: int                      # in the file
    length: int                      # bytes in the file
    compression: str                 # "" is plain
    unpacked: int                    # bytes


class Initramfs(NamedTuple):
    entries: Dict[str, Entry]        # canonical path without leading slash ("usr/lib/modules") -> what the kernel has there at the end
    segments: Tuple[Segment, ...]
    size: int                        # bytes of the file
    bootconfig: bool = False         # the kernel looks for a boot configuration at the file's end: nothing may be appended

    def resolve(self, path: str) -> str:
        """The canonical path that `path` leads to, links followed; "" when a folder on the way is missing. The last part need not exist."""
        found = _resolve(self.entries, path, True)
        return "" if found is None else found

    def modules(self, version: str = "") -> Dict[str, str]:
        """name -> canonical path of the kernel modules in it, of one kernel version or of all."""
        folder = f"/lib/modules/{version}/" if version else "/lib/modules/"
        return {
            module_name(path): path
            for path, entry in self.entries.items()
            if is_module(path) and folder in "/" + path and stat.S_ISREG(entry.mode)
        }


def initramfs_drivers(tree, path: str) -> Tuple[str, ...]:
    """The normalised names of the storage drivers in the initramfs at `path` of a mounted root, sorted. Raises MachineError."""
    return storage_drivers(read_initramfs(tree, path))


def storage_drivers(archive: Initramfs) -> Tuple[str, ...]:
    return tuple(sorted(name for name, path in archive.modules().items() if driver_class(path) == "storage"))


def read_initramfs(tree, path: str, wanted: Optional[Callable[[str], bool]] = None) -> Initramfs:
    """Reads the initramfs at `path` of a mounted root.

    `wanted` chooses by canonical path whose content is kept. Raises MachineError when it is unreadable, damaged or none.
    """
    with tree.open(path) as stream:
        return parse_initramfs(stream, path, wanted)


def parse_initramfs(stream, name: str, wanted: Optional[Callable[[str], bool]] = None, limit: int = UNPACKED_LIMIT) -> Initramfs:
    """The same from a seekable binary stream; `name` is for messages, `limit` bounds the unpacked bytes."""
    root = _Root(wanted or (lambda path: False))
    segments = []
    size = stream.seek(0, os.SEEK_END)
    end, bootconfig = _without_bootconfig(stream, size)
    position = _skip_zeros(stream, 0, end)
    while position < end:
        try:
            segment = _read_segment(stream, position, end, root, limit)
        except MachineError as error:
            raise MachineError(f"{name} cannot be read: {error}")
        except cpio.CpioError as error:
            raise MachineError(f"{name} is damaged or no initramfs: in the archive at offset {position}, {error}.")
        except unpack.ERRORS as error:
            raise MachineError(f"{name} is damaged or no initramfs: the stream at offset {position} cannot be unpacked ({error}).")
        segments.append(segment)
        limit -= segment.unpacked
        position = _skip_zeros(stream, position + segment.length, end)
    if not segments:
        raise MachineError(f"{name} is no initramfs: it is empty.")
    return Initramfs(root.entries, tuple(segments), size, bootconfig)


def _without_bootconfig(stream, size):
    """Where the archives end, and whether a boot configuration follows."""
    tail_size = len(_BOOTCONFIG) + 8
    if size < tail_size:
        return size, False
    stream.seek(size - tail_size)
    tail = stream.read(tail_size)
    if not tail.endswith(_BOOTCONFIG):
        return size, False
    return max(0, size - tail_size - int.from_bytes(tail[:4], "little")), True


def _skip_zeros(stream, position, end):
    while position < end:
        stream.seek(position)
        block = stream.read(min(_BLOCK, end - position))
        kept = len(block.lstrip(b"\0"))
        position += len(block) - kept
        if kept or not block:
            break
    return position


def _read_segment(stream, position, end, root, limit):
    stream.seek(position)
    head = stream.read(6)
    packing = unpack.compression(head)
    if packing:
        blocks = _Unpacked(stream, position, end, unpack.decompressor(packing))
        feed = cpio.Feed(blocks.next, limit)
        while feed.skip_zeros():
            _read_archive(feed, root)
        return Segment(position, blocks.position - position, packing, feed.consumed)
    # The kernel takes a plain archive at a multiple of 4 only.
    if head not in cpio.MAGICS or position % 4:
        raise cpio.CpioError("there is something that the kernel does not know")
    feed = cpio.Feed(_Plain(stream, position, end).next, limit)
    _read_archive(feed, root)
    return Segment(position, feed.consumed, "", feed.consumed)


class _Plain:
    """The file's own bytes, block by block."""

    def __init__(self, stream, position, end):
        self._stream, self._position, self._end = stream, position, end

    def next(self):
        self._stream.seek(self._position)
        block = self._stream.read(max(0, min(_BLOCK, self._end - self._position)))
        self._position += len(block)
        return block


class _Unpacked:
    """What a compressed stream holds, block by block. At its end `position` is the first byte of the file behind it."""

    def __init__(self, stream, position, end, unpacker):
        self._input = _Plain(stream, position, end)
        self._unpacker = unpacker
        self.position = position

    def next(self):
        while not self._unpacker.eof:
            data = b""
            if self._unpacker.needs_input:
                data = self._input.next()
                self.position += len(data)
                if not data:
                    if unpack.ends_with_file(self._unpacker):
                        return b""
                    raise EOFError("it ends too early")
            block = self._unpacker.decompress(data, _BLOCK)
            if self._unpacker.eof:
                self.position -= len(self._unpacker.unused_data)
            if block:
                return block
        return b""


def _read_archive(feed, root):
    reader = cpio.ArchiveReader(feed)
    shared = {}                                  # identity -> canonical paths of one file
    while True:
        header = reader.next()
        if header is None:
            return
        path = root.place(header.path)
        content = None
        if stat.S_ISLNK(header.mode) or path is not None and root.wanted(path):
            if header.size > CONTENT_LIMIT:
                raise cpio.CpioError(f"{header.path} is too large to be read")
            content = reader.content()
        else:
            reader.drop()
        if path is not None:
            root.add(path, header, content, shared)


class _Root:
    """The kernel's root file system while it is being filled."""

    def __init__(self, wanted):
        # What the kernel itself has there beforehand (usr/default_cpio_list).
        self.entries = {"dev": Entry(0o040755, 0), "root": Entry(0o040700, 0)}
        self.wanted = wanted
        self._folders = {}                       # path of a folder as written -> canonical path or None

    def place(self, path: str) -> Optional[str]:
        """Where an entry of that name comes to be, None: the kernel cannot make it."""
        parent, _slash, name = path.strip("/").rpartition("/")
        if name in ("", ".", ".."):
            return None
        if parent not in self._folders:
            self._folders[parent] = _folder(self.entries, parent)
        parent = self._folders[parent]
        if parent is None:
            return None
        return f"{parent}/{name}" if parent else name

    def add(self, path, header, content, shared):
        old = self.entries.get(path)
        if old is not None and stat.S_ISDIR(old.mode) and not stat.S_ISDIR(header.mode):
            if any(other.startswith(path + "/") for other in self.entries):
                return                           # a folder that is not empty stays
        if len(self.entries) >= ENTRY_LIMIT:
            raise cpio.CpioError("it has more entries than are read from an initramfs")
        if stat.S_ISLNK(header.mode):
            entry = Entry(header.mode, header.size, content.decode("utf-8", "surrogateescape"))
        else:
            entry = Entry(header.mode, header.size, "", content)
        self.entries[path] = entry
        if header.identity and stat.S_ISREG(header.mode):
            self._share(path, entry, shared.setdefault(header.identity, []))
        # What leads through a path leads elsewhere once something there is new or has another type.
        unchanged = old is not None and stat.S_IFMT(old.mode) == stat.S_IFMT(header.mode) and not stat.S_ISLNK(header.mode)
        if not (unchanged or old is None and stat.S_ISREG(header.mode)):
            self._folders.clear()

    def _share(self, path, entry, names):
        """Several names of one file: the content comes with one of them, commonly the last."""
        names.append(path)
        full = max((self.entries[name] for name in names), key=lambda other: other.size)
        for name in names:
            self.entries[name] = self.entries[name]._replace(size=full.size, data=full.data if full.size else entry.data)


def _folder(entries, path):
    """The canonical path of a folder, None: there is none."""
    found = _resolve(entries, path, False)
    if found is None or found and not stat.S_ISDIR(entries[found].mode):
        return None
    return found


def _resolve(entries, path, last_may_miss):
    """Follows `path` through folders and links, relative to the root. None: not there, no folder, or a circle."""
    waiting = [part for part in path.split("/") if part not in ("", ".")]
    waiting.reverse()
    here = []
    links = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            here = here[:-1]
            continue
        at = "/".join(here + [part])
        entry = entries.get(at)
        if entry is None:
            return at if last_may_miss and not waiting else None
        if stat.S_ISLNK(entry.mode):
            links += 1
            if links > LINK_LIMIT:
                return None
            if entry.link.startswith("/"):
                here = []
            waiting.extend(part for part in reversed(entry.link.split("/")) if part not in ("", "."))
            continue
        if waiting and not stat.S_ISDIR(entry.mode):
            return None
        here.append(part)
    return "/".join(here)
