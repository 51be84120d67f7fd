# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk as an EBS snapshot: only blocks that hold something are sent, and over a parent only those that differ.

A pool of threads reads, hashes and sends; each has one block in memory, two over a parent, however large the disk.
"""

import hashlib
import threading
import time
from typing import Iterable, Iterator, NamedTuple

from ..image.pool import run
from ..source.disk import DiskSource
from .ebs_direct import BLOCK, ZEROS, EbsDirect, SnapshotBlock, digest


class PutResult(NamedTuple):
    """Blocks of 512 KiB."""
    written: int                 # sent to the service
    zeroed: int                  # of these, those that are zero and were not in the parent
    unchanged: int               # compared with the parent and equal
    seconds: float


class _Candidate(NamedTuple):
    """A block that may have to be written."""
    number: int                  # 0, 1, 2, ... in the order of the indices
    index: int
    on_disk: bool                # False: the disk has a hole there
    token: str                   # of the parent's block, "": the parent has none


class _Tally:
    """What became of the candidates, and the checksum over those that were written, in their order (LINEAR).

    They end in any order: one that is repeated for minutes must not hold up the others. Only checksums wait for their turn.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._waiting = {}               # {number: checksum}
        self._next = 0
        self._linear = hashlib.sha256()
        self.written = self.zeroed = self.unchanged = 0

    def add(self, number: int, checksum: bytes = b"", zero: bool = False, unchanged: bool = False) -> None:
        """Candidate `number` is done. Without a `checksum` it was not written."""
        with self._lock:
            self.written += bool(checksum)
            self.zeroed += zero
            self.unchanged += unchanged
            self._waiting[number] = checksum
            while self._next in self._waiting:
                self._linear.update(self._waiting.pop(self._next))
                self._next += 1

    def linear_checksum(self) -> bytes:
        return self._linear.digest()


def data_blocks(disk: DiskSource) -> Iterator[int]:
    """Indices of the blocks that are not all hole, ascending."""
    last = -1
    for start, end in disk.allocated():
        for index in range(max(last + 1, start // BLOCK), -(-end // BLOCK)):
            yield index
            last = index


def candidates(indices: Iterable[int], parents: Iterable[SnapshotBlock]) -> Iterator[_Candidate]:
    """Both ascending sequences merged: what is on the disk, in the parent, or in both."""
    return (_Candidate(number, *found) for number, found in enumerate(_merged(indices, iter(parents))))


def _merged(indices, parents):
    """(index, whether it is on the disk, token of the parent's block or "")."""
    parent = next(parents, None)
    for index in indices:
        while parent is not None and parent.index < index:
            yield parent.index, False, parent.token
            parent = next(parents, None)
        if parent is not None and parent.index == index:
            yield index, True, parent.token
            parent = next(parents, None)
        else:
            yield index, True, ""
    while parent is not None:
        yield parent.index, False, parent.token
        parent = next(parents, None)


def put_disk(ebs: EbsDirect, disk: DiskSource, snapshot: str, progress, workers: int, parent: str = "") -> PutResult:
    """Write the disk into a snapshot that was started, with this `parent` or none, and complete it.

    Raises SourceError, TargetError, CancelledError; the snapshot is pending then, and no good.
    """
    began = time.monotonic()
    progress.phase("snapshot", sum(BLOCK for _index in data_blocks(disk)))
    tally = _Tally()

    def send(block: _Candidate) -> None:
        data = _read(disk, block.index) if block.on_disk else ZEROS
        zero = data == ZEROS
        if not block.token and zero:
            tally.add(block.number)
        elif block.token and ebs.get(parent, SnapshotBlock(block.index, block.token)) == data:
            tally.add(block.number, unchanged=True)
        else:
            checksum = digest(data)
            ebs.put(snapshot, block.index, data, checksum)
            tally.add(block.number, checksum, zero)
        if block.on_disk:
            progress.advance(BLOCK)

    blocks = candidates(data_blocks(disk), ebs.blocks(parent) if parent else ())
    run(blocks, lambda: send, workers, progress.cancelled)
    ebs.complete(snapshot, tally.written, tally.linear_checksum())
    return PutResult(tally.written, tally.zeroed, tally.unchanged, time.monotonic() - began)


def _read(disk: DiskSource, index: int) -> bytes:
    """A block, filled up with zeros at the end of the disk."""
    data = disk.read_at(index * BLOCK, BLOCK)
    return data if len(data) == BLOCK else data + bytes(BLOCK - len(data))
