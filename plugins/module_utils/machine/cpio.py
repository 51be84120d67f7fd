# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cpio archives in the form that the kernel unpacks: "newc" (070701) and "crc" (070702).

Format: kernel Documentation/driver-api/early-userspace/buffer-format.rst. A header of 110 ASCII bytes, the name with its NUL, zeros up
to a multiple of 4, the content, zeros up to a multiple of 4. The entry "TRAILER!!!" ends an archive. Offsets for the alignment count
from the archive's start.
"""

import re

from typing import Callable, Iterable, NamedTuple, Optional, Tuple

MAGICS = (b"070701", b"070702")
TRAILER = "TRAILER!!!"

_HEADER = 110                # magic and 13 numbers of 8 hexadecimal digits
_NUMBERS = re.compile(rb"[0-9A-Fa-f]{104}")
_PATH_LIMIT = 4096           # PATH_MAX of the kernel, with the final NUL


class CpioError(ValueError):
    """The bytes are no whole, sound archive."""


class Header(NamedTuple):
    path: str
    mode: int
    size: int
    identity: Optional[Tuple[int, int, int]]     # inode and device of a file with several names, else None


class Feed:
    """Exact reads over a function that gives the next block of bytes, b"" at the end. Raises CpioError past `limit` bytes."""

    def __init__(self, next_block: Callable[[], bytes], limit: int):
        self._next_block, self._limit = next_block, limit
        self._block, self._at = b"", 0
        self.consumed = 0

    def read(self, count: int) -> bytes:
        """`count` bytes; fewer only when the data ends."""
        end = self._at + count
        if end <= len(self._block):
            piece = self._block[self._at:end]
            self._at = end
        else:
            pieces = [self._block[self._at:]]
            missing = count - len(pieces[0])
            while missing and self._fill():
                pieces.append(self._block[:missing])
                self._at = len(pieces[-1])
                missing -= self._at
            piece = b"".join(pieces)
        self._count(len(piece))
        return piece

    def skip(self, count: int) -> int:
        """Passes over `count` bytes; gives how many there were."""
        missing = count
        while True:
            step = min(missing, len(self._block) - self._at)
            self._at += step
            missing -= step
            if not missing or not self._fill():
                break
        self._count(count - missing)
        return count - missing

    def skip_zeros(self) -> bool:
        """Passes over zero bytes. True: there is something behind them."""
        while True:
            rest = self._block[self._at:]
            zeros = len(rest) - len(rest.lstrip(b"\0"))
            self._at += zeros
            self._count(zeros)
            if zeros < len(rest):
                return True
            if not self._fill():
                return False

    def _fill(self):
        self._block, self._at = self._next_block(), 0
        return bool(self._block)

    def _count(self, count):
        self.consumed += count
        if self.consumed > self._limit:
            raise CpioError("it unpacks to more bytes than are read from an initramfs")


class ArchiveReader:
    """One archive from a feed, entry by entry: `next`, then one of `content` and `drop`."""

    def __init__(self, feed: Feed):
        self._feed = feed
        self._start = feed.consumed
        self._size = 0

    def next(self) -> Optional[Header]:
        """The next entry, None behind the last."""
        raw = self._exact(_HEADER)
        if raw[:6] not in MAGICS:
            raise CpioError("no cpio header where one should be")
        if not _NUMBERS.match(raw, 6):           # int() would also take signs, spaces and underscores
            raise CpioError("a cpio header that is no number")
        inode, mode, nlink, size, name_size = (int(raw[at:at + 8], 16) for at in (6, 14, 38, 54, 94))
        device = int(raw[62:70], 16), int(raw[70:78], 16)
        if not 0 < name_size <= _PATH_LIMIT:
            raise CpioError(f"a name of {name_size} bytes")
        path = self._exact(name_size).rstrip(b"\0").decode("utf-8", "surrogateescape")
        self._align()
        self._size = size
        if path == TRAILER:
            self.drop()
            return None
        return Header(path, mode, size, (inode,) + device if nlink > 1 else None)

    def content(self) -> bytes:
        data = self._exact(self._size)
        self._align()
        return data

    def drop(self) -> None:
        if self._feed.skip(self._size) != self._size:
            raise CpioError("it ends inside a file")
        self._align()

    def _exact(self, count):
        data = self._feed.read(count)
        if len(data) != count:
            raise CpioError("it ends before its end mark" if not data else "it ends inside an entry")
        return data

    def _align(self):
        # The last archive of a file may come without the zeros at its end.
        self._feed.skip(-(self._feed.consumed - self._start) % 4)


def pack_archive(entries: Iterable[Tuple[str, int, bytes]]) -> bytes:
    """A newc archive of (path, mode, content) triples, owned by root, all times 0: the same input gives the same bytes."""
    pieces = []
    number = 0
    for number, (path, mode, content) in enumerate(entries, 1):
        pieces.append(_packed(number, path, mode, content, 2 if mode & 0o170000 == 0o040000 else 1))
    pieces.append(_packed(0, TRAILER, 0, b"", 1))
    return b"".join(pieces)


def _packed(inode, path, mode, content, nlink):
    name = path.encode("utf-8", "surrogateescape") + b"\0"
    # inode, mode, uid, gid, nlink, mtime, size, device major and minor, rdevice major and minor, length of the name, checksum
    numbers = (inode, mode, 0, 0, nlink, 0, len(content), 0, 0, 0, 0, len(name), 0)
    head = MAGICS[0] + b"".join(b"%08X" % number for number in numbers) + name
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)
