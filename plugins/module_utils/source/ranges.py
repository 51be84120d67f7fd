# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of byte ranges: what of a disk is used.

A range is half open, [start, end). A `Ranges` is sorted, its members neither overlap nor touch, and it never changes. Two arrays of
64-bit numbers hold it: 16 bytes a range, so a badly fragmented disk with ten million ranges costs 160 MB and not gigabytes of tuples.
"""

from array import array
from bisect import bisect_left, bisect_right
from heapq import merge
from typing import Iterable, Iterator, Tuple

Pair = Tuple[int, int]


class RangesBuilder:
    """Takes ranges in ascending order of their start and merges what touches or overlaps."""

    __slots__ = ("_starts", "_ends", "_last")

    def __init__(self):
        self._starts = array("Q")
        self._ends = array("Q")
        self._last = -1

    def add(self, start: int, end: int) -> None:
        """Add [start, end). An empty range adds nothing; a start below that of the range before is a ValueError."""
        if end <= start:
            return
        if start > self._last:
            self._starts.append(start)
            self._ends.append(end)
            self._last = end
            return
        if self._starts[-1] > start:
            raise ValueError(f"range {start}..{end} comes after {self._starts[-1]}..{self._last}: not in ascending order")
        if end > self._last:
            self._ends[-1] = end
            self._last = end

    def ranges(self) -> "Ranges":
        """What was added so far."""
        return Ranges._of(array("Q", self._starts), array("Q", self._ends))


class Ranges:
    """An immutable set of byte ranges.

    `Ranges(pairs)` takes (start, end) pairs in any order, also overlapping ones; empty ones vanish. Iteration yields the sorted,
    disjoint (start, end) pairs; `total` is the sum of their lengths.
    """

    __slots__ = ("_starts", "_ends", "total")

    def __init__(self, pairs: Iterable[Pair] = ()):
        builder = RangesBuilder()
        for start, end in sorted(pairs):
            builder.add(start, end)
        self._starts = builder._starts
        self._ends = builder._ends
        self.total = sum(self._ends) - sum(self._starts)

    @classmethod
    def _of(cls, starts: array, ends: array) -> "Ranges":
        ranges = cls.__new__(cls)
        ranges._starts = starts
        ranges._ends = ends
        ranges.total = sum(ends) - sum(starts)
        return ranges

    @classmethod
    def whole(cls, size: int) -> "Ranges":
        """[0, size)."""
        return cls([(0, size)])

    @classmethod
    def ascending(cls, pairs: Iterable[Pair]) -> "Ranges":
        """Ranges from pairs whose starts ascend, without sorting them (and without a list of them)."""
        builder = RangesBuilder()
        for start, end in pairs:
            builder.add(start, end)
        return cls._of(builder._starts, builder._ends)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[Pair]:
        return zip(self._starts, self._ends)

    def __eq__(self, other) -> bool:
        if not isinstance(other, Ranges):
            return NotImplemented
        return self._starts == other._starts and self._ends == other._ends

    def __hash__(self) -> int:
        return hash((self._starts.tobytes(), self._ends.tobytes()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{start}..{end}" for start, end in zip(self._starts[:4], self._ends[:4]))
        more = ", ..." if len(self) > 4 else ""
        return f"<Ranges {len(self)} of {self.total} bytes: {shown}{more}>"

    def union(self, other: "Ranges") -> "Ranges":
        """What is in either."""
        if not other:
            return self
        if not self:
            return other
        return Ranges.ascending(merge(self, other))

    def intersect(self, other: "Ranges") -> "Ranges":
        """What is in both."""
        return Ranges.ascending(self._common(other))

    def _common(self, other: "Ranges") -> Iterator[Pair]:
        mine, theirs = 0, 0
        while mine < len(self._starts) and theirs < len(other._starts):
            start = max(self._starts[mine], other._starts[theirs])
            end = min(self._ends[mine], other._ends[theirs])
            if start < end:
                yield start, end
            if self._ends[mine] < other._ends[theirs]:
                mine += 1
            else:
                theirs += 1

    def minus(self, other: "Ranges") -> "Ranges":
        """What is in here and not in the other."""
        if not self or not other:
            return self
        return self.intersect(other.invert(self._ends[-1]))

    def invert(self, size: int) -> "Ranges":
        """What of [0, size) is not in here."""
        return Ranges.ascending(self._holes(size))

    def _holes(self, size: int) -> Iterator[Pair]:
        position = 0
        for start, end in self.overlapping(0, size):
            if position < start:
                yield position, start
            position = end
        if position < size:
            yield position, size

    def shift(self, distance: int) -> "Ranges":
        """The same ranges, `distance` bytes further on. ValueError where one would start before 0."""
        if self._starts and self._starts[0] + distance < 0:
            raise ValueError(f"cannot shift {self!r} by {distance}: it would start before 0")
        return Ranges._of(array("Q", (start + distance for start in self._starts)), array("Q", (end + distance for end in self._ends)))

    def align_out(self, block: int) -> "Ranges":
        """Every range widened to multiples of `block`; the last may pass the end of the disk (`clip` it)."""
        return Ranges.ascending((start - start % block, end + -end % block) for start, end in self)

    def clip(self, start: int, end: int) -> "Ranges":
        """What of this is in [start, end); offsets stay those of the disk."""
        return Ranges.ascending(self.overlapping(start, end))

    def overlapping(self, start: int, end: int) -> Iterator[Pair]:
        """The parts of the ranges that are in [start, end), each cut to it. Found by bisection."""
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        for index in range(first, last):
            yield max(self._starts[index], start), min(self._ends[index], end)
