# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the parsers of file system maps share: the one way to say "I cannot tell", and exact reads."""

from typing import Callable

ReadAt = Callable[[int, int], bytes]


class MapUnknown(Exception):
    """The map of used blocks cannot be told or cannot be trusted; the text says why. The partition is then read whole.

    Not an error of the source: unreadable sectors are a SourceError and end the capture.
    """


def read_exactly(read_at: ReadAt, offset: int, length: int, what: str) -> bytes:
    """`length` bytes at `offset`; MapUnknown where the partition ends before."""
    if offset < 0:
        raise MapUnknown(f"{what} would be at {offset}, before the start of the partition")
    data = read_at(offset, length)
    if len(data) != length:
        raise MapUnknown(f"{what} at {offset} lies beyond the end of the partition")
    return data


def part_of(read_at: ReadAt, start: int, size: int) -> ReadAt:
    """Reads a stretch of what `read_at` reads: offsets count from its start, and nothing lies beyond its end."""
    return lambda offset, length: read_at(start + offset, max(0, min(length, size - offset)))
