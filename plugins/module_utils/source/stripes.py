# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Address spaces that are put together from stretches of others: logical volumes, arrays, the chunks of btrfs.

A segment is a run of the address space. Its bytes go round its columns, `chunk` bytes each; a column has one place, or several that
hold the same. One column makes a linear or mirrored segment, several make stripes.
"""

from bisect import bisect_left
from typing import Dict, Iterator, List, NamedTuple, Sequence, Tuple

from .mapread import MapUnknown, ReadAt
from .ranges import Pair, Ranges


class Place(NamedTuple):
    member: int          # what of: index of a volume, number of a device
    start: int           # byte


class Segment(NamedTuple):
    offset: int
    length: int
    chunk: int           # bytes; means nothing where there is one column
    columns: Tuple[Tuple[Place, ...], ...]


class Piece(NamedTuple):
    """A run of bytes that lies in one piece, at each of its places."""
    offset: int
    length: int
    places: Tuple[Place, ...]


def pieces(segments: Sequence[Segment], start: int, end: int) -> Iterator[Piece]:
    """What [start, end) consists of, in order; `segments` ascend. MapUnknown at a byte that no segment has."""
    index = max(0, bisect_left(segments, (start + 1,)) - 1)
    while start < end:
        if index >= len(segments) or not segments[index].offset <= start < segments[index].offset + segments[index].length:
            raise MapUnknown(f"no segment has byte {start}")
        piece = _piece(segments[index], start, end)
        yield piece
        start += piece.length
        if start >= segments[index].offset + segments[index].length:
            index += 1


def _piece(segment: Segment, start: int, end: int) -> Piece:
    inside = start - segment.offset
    end = min(end, segment.offset + segment.length)
    if len(segment.columns) == 1:
        return Piece(start, end - start, tuple(Place(place.member, place.start + inside) for place in segment.columns[0]))
    number, rest = divmod(inside, segment.chunk)
    row, column = divmod(number, len(segment.columns))
    places = tuple(Place(place.member, place.start + row * segment.chunk + rest) for place in segment.columns[column])
    return Piece(start, min(end - start, segment.chunk - rest), places)


def composed(segments: Sequence[Segment], readers: Dict[int, ReadAt], size: int) -> ReadAt:
    """read_at over the address space of `size` bytes; of places that hold the same the first is read."""
    def read_at(offset: int, length: int) -> bytes:
        parts = []
        for piece in pieces(segments, offset, max(offset, min(offset + length, size))):
            place = piece.places[0]
            data = readers[place.member](place.start, piece.length)
            if len(data) != piece.length:
                raise MapUnknown(f"byte {piece.offset} lies beyond the end of what should hold it")
            parts.append(data)
        return b"".join(parts)
    return read_at


def spread(segments: Sequence[Segment], ranges: Ranges) -> Dict[int, Ranges]:
    """Ranges of the address space as ranges of the members. Of stripes whole rows are kept: a chunk on every column."""
    stretches: Dict[int, List[Tuple[int, Segment]]] = {}
    for segment in segments:
        for column in segment.columns:
            for place in column:
                stretches.setdefault(place.member, []).append((place.start, segment))
    return {member: Ranges.ascending(pair for start, segment in sorted(found) for pair in _on_member(segment, start, ranges))
            for member, found in stretches.items()}


def _on_member(segment: Segment, start: int, ranges: Ranges) -> Iterator[Pair]:
    chunk = segment.chunk if len(segment.columns) > 1 else 1
    row = chunk * len(segment.columns)
    for first, end in ranges.overlapping(segment.offset, segment.offset + segment.length):
        yield start + (first - segment.offset) // row * chunk, start + -(-(end - segment.offset) // row) * chunk
