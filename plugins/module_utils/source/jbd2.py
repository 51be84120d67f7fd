# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""jbd2: what a journal would write into its file system, found without writing anything.

Format: kernel Documentation/filesystems/ext4/journal.rst; rules of recovery as the kernel follows them: a transaction counts when its
commit block has the expected sequence number; a block revoked in the same or a later transaction is not written.
Numbers in the journal are big endian.
"""

import struct
from typing import Callable, Dict, Iterator, List, NamedTuple, Set, Tuple

from .checksum import crc32_be, crc32c
from .mapread import MapUnknown

MAGIC = 0xC03B3998
MAGIC_BYTES = struct.pack(">I", MAGIC)
DESCRIPTOR, COMMIT, SUPERBLOCK_V1, SUPERBLOCK_V2, REVOKE = 1, 2, 3, 4, 5
COMPAT_CHECKSUM = 0x1
INCOMPAT_REVOKE, INCOMPAT_64BIT, INCOMPAT_ASYNC, INCOMPAT_CSUM_V2, INCOMPAT_CSUM_V3, INCOMPAT_FAST = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
INCOMPAT_KNOWN = INCOMPAT_REVOKE | INCOMPAT_64BIT | INCOMPAT_ASYNC | INCOMPAT_CSUM_V2 | INCOMPAT_CSUM_V3 | INCOMPAT_FAST
TAG_ESCAPED, TAG_SAME_UUID, TAG_LAST = 0x1, 0x2, 0x8
CHECKSUM_CRC32, CHECKSUM_CRC32C = 1, 4
DEFAULT_FAST_BLOCKS = 256
MIN_JOURNAL_BLOCKS = 1024           # JBD2_MIN_JOURNAL_BLOCKS
FAST_TAG_HEAD = 9                   # EXT4_FC_TAG_HEAD

ReadBlock = Callable[[int], bytes]  # journal block number -> its content


class Logged(NamedTuple):
    """A file system block that recovery would write, and where its new content is."""
    journal_block: int
    escaped: bool        # the content begins with the journal's magic, which is stored as zeros
    checksum: int        # as the tag says it, -1: none
    sequence: int

    def content(self, journal: "Journal") -> bytes:
        """The block as recovery would write it; MapUnknown where its checksum is wrong."""
        data = journal.read_block(self.journal_block)
        if self.checksum >= 0:
            computed = crc32c(crc32c(journal.seed, struct.pack(">I", self.sequence)), data)
            if computed & (0xFFFFFFFF if journal.csum_v3 else 0xFFFF) != self.checksum:
                raise MapUnknown(f"journal: block {self.journal_block} has a wrong checksum")
        return MAGIC_BYTES + data[4:] if self.escaped else data


class Journal(NamedTuple):
    read_block: ReadBlock
    block_size: int
    first: int           # first block of the log
    last: int            # block after the log
    length: int          # blocks, with the fast-commit area
    sequence: int        # of the first transaction to recover
    start: int           # its first block; 0: nothing to recover
    seed: int            # of checksums v2 and v3
    csum_v1: bool
    csum_v2: bool
    csum_v3: bool
    wide: bool           # 64-bit block numbers
    fast: bool           # a fast-commit area follows the log

    @property
    def tail_size(self) -> int:
        """Bytes of the checksum at the end of descriptor and revoke blocks."""
        return 4 if self.csum_v2 or self.csum_v3 else 0


def open_journal(read_block: ReadBlock, block_size: int, length: int) -> Journal:
    """Read the journal's superblock. `length`: blocks that the journal's inode has. MapUnknown where it cannot be recovered by us."""
    data = read_block(0)[:1024]
    magic, kind, _sequence, size, maxlen, first, sequence, start, errno = struct.unpack_from(">9I", data)
    if magic != MAGIC or kind not in (SUPERBLOCK_V1, SUPERBLOCK_V2):
        raise MapUnknown("journal: no superblock where the journal should begin")
    compat, incompat, read_only = struct.unpack_from(">3I", data, 36) if kind == SUPERBLOCK_V2 else (0, 0, 0)
    if incompat & ~INCOMPAT_KNOWN or read_only or compat & ~COMPAT_CHECKSUM:
        raise MapUnknown(f"journal: unknown features (compat {compat:#x}, incompat {incompat:#x}, ro_compat {read_only:#x})")
    csum_v1, csum_v2, csum_v3 = bool(compat & COMPAT_CHECKSUM), bool(incompat & INCOMPAT_CSUM_V2), bool(incompat & INCOMPAT_CSUM_V3)
    if csum_v1 + csum_v2 + csum_v3 > 1:
        raise MapUnknown("journal: more than one kind of checksum")
    if csum_v2 or csum_v3:
        stored = struct.unpack_from(">I", data, 0xFC)[0]
        if data[80] != CHECKSUM_CRC32C or crc32c(0xFFFFFFFF, data[:0xFC] + bytes(4) + data[0x100:]) != stored:
            raise MapUnknown("journal: the superblock has a wrong checksum")
    fast = bool(incompat & INCOMPAT_FAST)
    last = maxlen - ((struct.unpack_from(">I", data, 84)[0] or DEFAULT_FAST_BLOCKS) if fast else 0)
    if size != block_size or not 1 <= first < last <= maxlen <= length or (start and not first <= start < last):
        raise MapUnknown("journal: the superblock's sizes make no sense")
    if fast and last < MIN_JOURNAL_BLOCKS:
        raise MapUnknown("journal: too small for its fast-commit area")
    if errno:
        raise MapUnknown(f"journal: the file system stopped with error {errno}")
    seed = crc32c(0xFFFFFFFF, data[48:64])
    return Journal(read_block, block_size, first, last, maxlen, sequence, start, seed, csum_v1, csum_v2, csum_v3,
                   bool(incompat & INCOMPAT_64BIT), fast)


class _Transaction:
    """What the scan gathers until the commit block proves the transaction complete."""

    def __init__(self):
        self.logged: List[Tuple[int, Logged]] = []
        self.revoked: Set[int] = set()
        self.damaged = False            # a descriptor or revoke block with a wrong checksum
        self.checksum = 0xFFFFFFFF      # v1: over all its blocks


def replay(journal: Journal) -> Dict[int, Logged]:
    """File system block -> what recovery would write there. MapUnknown where that cannot be told for certain."""
    overlay: Dict[int, Logged] = {}
    if not journal.start:
        return overlay
    transactions, next_sequence = _scan(journal)
    _refuse_fast_commits(journal, next_sequence)
    last_revoke = {block: number for number, transaction in enumerate(transactions) for block in transaction.revoked}
    for number, transaction in enumerate(transactions):
        for block, logged in transaction.logged:
            if last_revoke.get(block, -1) < number:
                overlay[block] = logged
    return overlay


def _scan(journal: Journal) -> Tuple[List[_Transaction], int]:
    """The complete transactions from the start of the log on, and the sequence number that follows them."""
    done: List[_Transaction] = []
    current = _Transaction()
    sequence = journal.sequence
    position = journal.start
    walked = 0
    while True:
        data = journal.read_block(position)
        magic, kind, number = struct.unpack_from(">3I", data)
        if magic != MAGIC or number != sequence or kind not in (DESCRIPTOR, COMMIT, REVOKE):
            return done, sequence
        position, walked = _next(journal, position), walked + 1
        if kind == DESCRIPTOR:
            current.damaged |= not _tail_is_right(journal, data)
            current.checksum = crc32_be(current.checksum, data) if journal.csum_v1 else 0
            for block, flags, checksum in _tags(journal, data):
                current.logged.append((block, Logged(position, bool(flags & TAG_ESCAPED), checksum, sequence)))
                if journal.csum_v1:
                    current.checksum = crc32_be(current.checksum, journal.read_block(position))
                position, walked = _next(journal, position), walked + 1
        elif kind == REVOKE:
            current.damaged |= not _tail_is_right(journal, data)
            current.revoked.update(_revoked(journal, data))
        else:
            if current.damaged or not _commit_is_right(journal, data, current.checksum):
                raise MapUnknown(f"journal: transaction {sequence} has a wrong checksum")
            done.append(current)
            current = _Transaction()
            sequence = (sequence + 1) & 0xFFFFFFFF
        if walked > journal.last - journal.first:
            raise MapUnknown("journal: the log has no end")


def _next(journal: Journal, position: int) -> int:
    if position + 1 < journal.last:
        return position + 1
    if journal.fast:
        # Kernels differ in whether recovery then goes on behind the fast-commit area or at the start of the log.
        raise MapUnknown("journal: the log wraps and has a fast-commit area")
    return journal.first


def _tags(journal: Journal, data: bytes) -> Iterator[Tuple[int, int, int]]:
    """(block, flags, checksum or -1) of each block that a descriptor block announces."""
    size = 16 if journal.csum_v3 else 8 + (2 if journal.csum_v2 else 0) + (4 if journal.wide else 0)
    position = 12
    while position + size <= journal.block_size - journal.tail_size:
        block, short_checksum, flags = struct.unpack_from(">IHH", data, position)
        if journal.wide:
            block |= struct.unpack_from(">I", data, position + 8)[0] << 32
        if journal.csum_v3:
            checksum = struct.unpack_from(">I", data, position + 12)[0]
        else:
            checksum = short_checksum if journal.csum_v2 else -1
        yield block, flags, checksum
        position += size + (0 if flags & TAG_SAME_UUID else 16)
        if flags & TAG_LAST:
            return


def _revoked(journal: Journal, data: bytes) -> Tuple[int, ...]:
    end = struct.unpack_from(">I", data, 12)[0]
    if end > journal.block_size - journal.tail_size:
        raise MapUnknown("journal: a revoke block claims more than it can hold")
    width, code = (8, "Q") if journal.wide else (4, "I")
    return struct.unpack_from(f">{max(0, end - 16) // width}{code}", data, 16)


def _tail_is_right(journal: Journal, data: bytes) -> bool:
    if not journal.tail_size:
        return True
    return crc32c(journal.seed, data[:-4] + bytes(4)) == struct.unpack_from(">I", data, journal.block_size - 4)[0]


def _commit_is_right(journal: Journal, data: bytes, blocks_checksum: int) -> bool:
    kind, size, stored = data[12], data[13], struct.unpack_from(">I", data, 16)[0]
    if journal.csum_v1:
        return (kind, size, stored) in ((CHECKSUM_CRC32, 4, blocks_checksum), (0, 0, 0))
    if journal.csum_v2 or journal.csum_v3:
        return crc32c(journal.seed, data[:16] + bytes(4) + data[20:]) == stored
    return True


def _refuse_fast_commits(journal: Journal, next_sequence: int) -> None:
    """Fast commits change inodes and extents, not blocks: their effect on bitmaps is not known here. Stale ones do not count."""
    if not journal.fast:
        return
    for position in range(journal.last, min(journal.last + 2, journal.length)):
        tag, length, _features, tid = struct.unpack_from("<HHII", journal.read_block(position))
        stale = 0 < (next_sequence - tid) & 0xFFFFFFFF < 0x80000000
        if tag == FAST_TAG_HEAD and length >= 8 and not stale:
            raise MapUnknown("journal: fast commits are pending")
