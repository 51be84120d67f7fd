# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the used bytes of a disk, chunk by chunk."""

from typing import Callable, List, NamedTuple

from ..errors import SourceError

# A free gap below this is read along: cheaper than one more system call.
_SMALL_GAP = 32 << 10


class CaptureDisk(NamedTuple):
    """A disk to capture.

    `read_at(offset, length)` returns exactly that many bytes and is called by several threads; `ranges` (source/ranges.py) are
    the used bytes; `map` is plain data on how they were found, for the manifest.
    """
    name: str
    size: int
    sector_size: int
    read_at: Callable[[int, int], bytes]
    ranges: object
    map: tuple = ()


def used_entries(ranges, start: int, end: int, size: int) -> List[List[int]]:
    """Which chunks of [start, end) hold something of `ranges`: pairs of entry numbers [first, last) relative to start."""
    entries = []
    for used_start, used_end in ranges.overlapping(start, end):
        first, last = (used_start - start) // size, (used_end - 1 - start) // size + 1
        if entries and first <= entries[-1][1]:
            entries[-1][1] = max(last, entries[-1][1])
        else:
            entries.append([first, last])
    return entries


def read_chunk(disk: CaptureDisk, offset: int, length: int):
    """The content of a chunk with zeros where nothing is used, and how many bytes are used. Raises SourceError."""
    used = list(disk.ranges.overlapping(offset, offset + length))
    if used == [(offset, offset + length)]:
        return _read(disk, offset, length), length
    data = bytearray(length)
    total = 0
    start = 0
    while start < len(used):
        end = start + 1
        while end < len(used) and used[end][0] - used[end - 1][1] < _SMALL_GAP:
            end += 1
        base = used[start][0]
        piece = memoryview(_read(disk, base, used[end - 1][1] - base))
        for first, last in used[start:end]:
            data[first - offset:last - offset] = piece[first - base:last - base]
            total += last - first
        start = end
    return data, total


def _read(disk: CaptureDisk, offset: int, length: int) -> bytes:
    try:
        data = disk.read_at(offset, length)
    except OSError as error:
        raise SourceError(f"Disk {disk.name} cannot be read at byte {offset}: {error.strerror}.") from error
    if len(data) != length:
        raise SourceError(f"Disk {disk.name} gave {len(data)} instead of {length} bytes at byte {offset}: it has become shorter.")
    return data
