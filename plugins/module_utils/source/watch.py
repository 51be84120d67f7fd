# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches over stretches of disks: what of them is proven unchanged since they were last read.

A watch is used in turns: `look`, then the mark (everything is frozen, which writes back what is dirty, and thawed), then `mark`, then the
pass that reads what was not clean. Each look is compared with the one before, never with a state in between, so that nothing falls
between two of them.
"""

import time
from typing import Callable, NamedTuple, Optional

from .changed import btrfs, ext, xfs
from .changed.scan import Reader, Scan, look
from .consistency import Area
from .mapread import ReadAt
from .ranges import Ranges
from .volume import attempt

READERS = {"ext2": ext.files, "ext3": ext.files, "ext4": ext.files, "xfs": xfs.files}
# With these options files change in ways that their inodes do not tell of.
_UNSURE_OPTIONS = ("data=journal", "dax", "dax=always")
_CLOCK_STEP = 1.0                # seconds that the clock may lose against the steady one between two looks

_NOTHING = Ranges()


class Moment(NamedTuple):
    """A point in time, on the clock that files are stamped by and on the steady one."""
    wall: float
    steady: float


def now() -> Moment:
    return Moment(time.time(), time.monotonic())


def _clock_fault(since: Optional[Moment]) -> str:
    here = now()
    lost = (here.steady - since.steady) - (here.wall - since.wall) if since else 0
    return "the clock was set back" if lost > _CLOCK_STEP else ""


class FileWatch:
    """Of a mounted file system whose inodes can be read. `note` says why the last look proved nothing."""

    def __init__(self, area: Area, read_at: ReadAt, reader: Reader, skip: Callable[[], frozenset], unsure: Callable[[], str]):
        """`read_at` counts from the start of the area. `skip()`: inodes that are written to from below at this time. `unsure()`: why
        inodes do not tell of all writes at this time, or "".
        """
        self.area = area
        self.note = ""
        self._read_at = read_at
        self._reader = reader
        self._skip = skip
        self._unsure = unsure
        self._why = ""           # what made it unsure once does so for good
        self._skipped = frozenset()
        self._marked = None      # type: Optional[Moment]
        self._scan = self._next = Scan()

    def look(self) -> Ranges:
        """What is unchanged since the last mark, in bytes of the disk."""
        self._skipped |= self._skip()
        moment = self._marked
        changes = look(self._reader, self._read_at, self.area.size, self._skipped, self._scan, moment.wall if moment else 0)
        self._next = changes.scan
        self._why = self._why or self._unsure() or _clock_fault(moment)
        self.note = self._why or changes.note
        return _NOTHING if moment is None or self.note else changes.clean.shift(self.area.start)

    def mark(self, moment: Moment) -> None:
        self._scan, self._marked = self._next, moment


class TransactionWatch:
    """Of a mounted btrfs that has one device. `note` says why the last look proved nothing.

    The transaction is that of the last look, the checksums are those at the mark after it. What got its checksums in between was without
    them before, so it was not proven then, and the pass after the mark reads it.
    """

    def __init__(self, area: Area, read_at: ReadAt):
        """`read_at` counts from the start of the area."""
        self.area = area
        self.note = ""
        self._read_at = read_at
        self._before = self._next = None         # type: Optional[btrfs.Seen]
        self._checksummed = None                 # type: Optional[Ranges]

    def look(self) -> Ranges:
        """What is unchanged since the last mark, in bytes of the disk."""
        self._next, self.note = attempt(btrfs.see, self._read_at, self.area.size)
        if self._before is None or self._checksummed is None or self.note:
            return _NOTHING
        clean, self.note = attempt(btrfs.unchanged, self._read_at, self.area.size, self._before, self._checksummed)
        return _NOTHING if clean is None else clean.shift(self.area.start)

    def mark(self, _moment: Moment) -> None:
        self._before = self._next
        self._checksummed, self.note = attempt(btrfs.has_checksums, self._read_at, self.area.size)


class CountWatch:
    """Of a stretch for which the kernel counts what is written: all of it is clean, or nothing."""

    note = ""

    def __init__(self, ranges: Ranges, count: Callable[[], object]):
        """`ranges`: bytes of the disk. `count()`: a value that differs after every write, None where that cannot be told."""
        self._ranges = ranges
        self._count = count
        self._seen = self._next = None

    def look(self) -> Ranges:
        self._next = self._count()
        return _NOTHING if self._next is None or self._next != self._seen else self._ranges

    def mark(self, _moment: Moment) -> None:
        self._seen = self._next


def reader_of(kind: str, options) -> Optional[Reader]:
    """The reader for a mounted file system; None where nothing would be proven."""
    return None if set(options) & set(_UNSURE_OPTIONS) else READERS.get(kind)
