# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells whether the log of an XFS file system is clean, without replaying it.

Each 512-byte block of the log begins with the number of the cycle (turn around the log) in which it was written, save record headers,
which begin with a magic number and have the cycle behind it. The log is clean when the last thing in it is an unmount record.
We accept only the plain picture: one cycle up to the head and the cycle before it from there on. Anything else counts as not clean.
Format: kernel fs/xfs/libxfs/xfs_log_format.h, rules: fs/xfs/xfs_log_recover.c (xlog_find_head, xlog_check_unmount_rec). Big endian.
"""

import struct
import sys
from array import array
from typing import List, Tuple

from .mapread import ReadAt, read_exactly

BASIC_BLOCK = 512
WORDS = BASIC_BLOCK // 4
RECORD_MAGIC = 0xFEEDBABE
BATCH = 4 << 20
HEADER_DATA = 32 * 1024             # bytes of record that one header block describes
UNMOUNT_FLAG = 0x20                 # XLOG_UNMOUNT_TRANS


def log_is_clean(read_at: ReadAt, offset: int, size: int, uuid: bytes) -> bool:
    """Whether the log at `offset` with `size` bytes ends with an unmount record of the file system `uuid`."""
    cycles, headers = _cycles(read_at, offset, size)
    head = _head(cycles)
    if head < 0:
        return False
    blocks = len(cycles)
    before = [block for block in headers if block < head] if head else headers
    if not before:
        return False        # an unmount record that wraps around the end does not exist: records that would are padded
    last = before[-1]
    return _is_unmount(read_at, offset, last, (head - last) % blocks, cycles[last], uuid)


def _cycles(read_at: ReadAt, offset: int, size: int) -> Tuple[array, List[int]]:
    """Cycle number of each basic block, and which blocks are record headers."""
    cycles = array("I")
    headers: List[int] = []
    for position in range(0, size, BATCH):
        data = read_exactly(read_at, offset + position, min(BATCH, size - position), "log")
        words = array("I", data)
        if sys.byteorder == "little":
            words.byteswap()
        first = words[::WORDS]
        if RECORD_MAGIC in first:
            for index, word in enumerate(first):
                if word == RECORD_MAGIC:
                    headers.append(len(cycles) + index)
                    first[index] = words[index * WORDS + 1]
        cycles.extend(first)
    return cycles, headers


def _head(cycles: array) -> int:
    """The block that will be written next; -1 where the picture is not a plain one."""
    newest = cycles[0]
    head = next((block for block, cycle in enumerate(cycles) if cycle != newest), 0)
    if newest == 0 or (head and any(cycle != newest - 1 for cycle in cycles[head:])):
        return -1
    return head


def _is_unmount(read_at: ReadAt, offset: int, block: int, length: int, cycle: int, uuid: bytes) -> bool:
    """Whether the record at `block`, `length` basic blocks before the head, is a complete unmount record."""
    data = read_exactly(read_at, offset + block * BASIC_BLOCK, BASIC_BLOCK, "log")
    _magic, own_cycle, version, size, own_cycle_again, own_block = struct.unpack_from(">6I", data)
    operations = struct.unpack_from(">I", data, 40)[0]
    header_size = struct.unpack_from(">I", data, 320)[0]
    if (own_cycle, own_cycle_again, own_block) != (cycle, cycle, block) or operations != 1 or data[304:320] != uuid:
        return False
    headers = -(-header_size // HEADER_DATA) if version & 2 and header_size > HEADER_DATA else 1
    if headers + -(-size // BASIC_BLOCK) != length or headers >= length:
        return False
    operation = read_exactly(read_at, offset + (block + headers) * BASIC_BLOCK, BASIC_BLOCK, "log")
    return bool(operation[9] & UNMOUNT_FLAG)
