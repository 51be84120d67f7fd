# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a file system may have written since a moment at which it had been frozen, told by its own metadata.

Clean are only data blocks of regular files whose inode and block map are the same, bit for bit, as in a scan before the moment, and
whose change time is clearly older than it. All the rest of what is used may have changed: metadata, journal, files that the kernel
writes to without touching their times, and everything that is not understood. docs/consistency.md has the whole argument.
"""

from array import array
from typing import Callable, Dict, Iterator, NamedTuple, Sequence, Tuple

from ...errors import SourceError
from ..mapread import MapUnknown, ReadAt
from ..ranges import Ranges

# Time stamps are those of the clock's last tick, and whole seconds in the smallest inodes.
MARGIN_SECONDS = 2


class File(NamedTuple):
    """A regular file that only writes through its own inode can change."""
    group: int                               # part of the file system that its inode is in
    index: int                               # of the inode in it
    digest: int                              # 64 bits over inode (access time left out) and block map; comparable in this process only
    changed: int                             # change time, whole seconds since 1970, rounded down
    extents: Sequence[Tuple[int, int]]       # [start, end) in bytes of the partition


# read(read_at, size, skip) -> files of a file system; `skip`: numbers of inodes that are written to from below (swap files).
Reader = Callable[[ReadAt, int, frozenset], Iterator[File]]


class Scan:
    """What was seen of all files at one time: 8 bytes each."""

    def __init__(self):
        self._digests = {}                   # type: Dict[int, array]

    def add(self, file: File) -> None:
        known = self._digests.setdefault(file.group, array("Q"))
        if len(known) <= file.index:
            known.extend([0] * (file.index + 1 - len(known)))
        known[file.index] = file.digest

    def has(self, file: File) -> bool:
        known = self._digests.get(file.group, ())
        return file.index < len(known) and known[file.index] == file.digest


class Changes(NamedTuple):
    """The scan of this time, and what is proven unchanged since the scan before."""
    scan: Scan
    clean: Ranges        # bytes of the partition
    note: str = ""       # why nothing is proven


def look(reader: Reader, read_at: ReadAt, size: int, skip: frozenset, before: Scan, moment: float) -> Changes:
    """Compare with the scan `before`, after which, at `moment` (seconds since 1970), the file system was frozen and thawed.

    Damaged or unknown metadata proves nothing and never raises; SourceError where the disk cannot be read.
    """
    scan = Scan()
    clean, claimed = [], []
    limit = int(moment) - MARGIN_SECONDS
    try:
        for file in reader(read_at, size, skip):
            scan.add(file)
            (clean if file.changed < limit and before.has(file) else claimed).extend(file.extents)
    except SourceError:
        raise
    except MapUnknown as reason:
        return Changes(Scan(), Ranges(), str(reason))
    except Exception as error:      # Metadata that change while they are read may break any parser; that proves nothing.
        return Changes(Scan(), Ranges(), f"its metadata could not be parsed ({type(error).__name__}: {error})")
    # In a scan of a running file system a block may seem to belong to two files: then to the one that changed.
    return Changes(scan, Ranges(clean).minus(Ranges(claimed)))
