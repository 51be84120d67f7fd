# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk as an EBS snapshot: only blocks that hold something are sent, and over a parent only those that differ.

A pool of threads reads, hashes and sends. At most two blocks a thread are in memory, however large the disk.
"""

import hashlib
import time
from typing import Iterable, Iterator, NamedTuple, Optional

from ..image.pool import ordered
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
    index: int
    on_disk: bool                # False: the disk has a hole there
    token: str                   # of the parent's block, "": the parent has none


class _Sent(NamedTuple):
    checksum: Optional[bytes]    # None: the parent's block is equal
    zero: bool


def data_blocks(disk: DiskSource) -> Iterator[int]:
    """Indices of the blocks that are not all hole, ascending."""
    last = -1
    for start, end in disk.allocated():
        for index in range(max(last + 1, start // BLOCK), -(-end // BLOCK)):
            yield index
            last = index


def candidates(indices: Iterable[int], parents: Iterable[SnapshotBlock]) -> Iterator[_Candidate]:
    """Both ascending sequences merged: what is on the disk, in the parent, or in both."""
    parents = iter(parents)
    parent = next(parents, None)
    for index in indices:
        while parent is not None and parent.index < index:
            yield _Candidate(parent.index, False, parent.token)
            parent = next(parents, None)
        if parent is not None and parent.index == index:
            yield _Candidate(index, True, parent.token)
            parent = next(parents, None)
        else:
            yield _Candidate(index, True, "")
    while parent is not None:
        yield _Candidate(parent.index, False, parent.token)
        parent = next(parents, None)


def put_disk(ebs: EbsDirect, disk: DiskSource, snapshot: str, progress, workers: int, parent: str = "") -> PutResult:
    """Write the disk into a snapshot that was started, with this `parent` or none, and complete it.

    Raises SourceError, TargetError, CancelledError; the snapshot is pending then, and no good.
    """
    began = time.monotonic()
    progress.phase("snapshot", sum(BLOCK for _index in data_blocks(disk)))

    def send(block: _Candidate) -> Optional[_Sent]:
        data = _read(disk, block.index) if block.on_disk else ZEROS
        sent = _send(block, data)
        if block.on_disk:
            progress.advance(BLOCK)
        return sent

    def _send(block, data):
        zero = data == ZEROS
        if not block.token and zero:
            return None
        if block.token and ebs.get(parent, SnapshotBlock(block.index, block.token)) == data:
            return _Sent(None, zero)
        checksum = digest(data)
        ebs.put(snapshot, block.index, data, checksum)
        return _Sent(checksum, zero)

    written = zeroed = unchanged = 0
    total = hashlib.sha256()
    blocks = candidates(data_blocks(disk), ebs.blocks(parent) if parent else ())
    for sent in ordered(blocks, lambda: send, workers, progress.cancelled):
        if sent is None:
            continue
        if sent.checksum is None:
            unchanged += 1
            continue
        total.update(sent.checksum)
        written += 1
        zeroed += sent.zero
    ebs.complete(snapshot, written, total.digest())
    return PutResult(written, zeroed, unchanged, time.monotonic() - began)


def _read(disk: DiskSource, index: int) -> bytes:
    """A block, filled up with zeros at the end of the disk."""
    data = disk.read_at(index * BLOCK, BLOCK)
    return data if len(data) == BLOCK else data + bytes(BLOCK - len(data))
