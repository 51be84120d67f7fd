# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of chunks and pages that take 9 bytes or so for each."""

from array import array
from bisect import bisect_left
from typing import Dict

_SPREAD = 0x9E3779B97F4A7C15     # an odd number: makes other keys of other generations
_MASK = (1 << 64) - 1


class KeySet:
    """A set of 64-bit numbers, sorted in arrays by their first 16 bits. For one thread at a time."""

    def __init__(self):
        self._buckets = {}               # type: Dict[int, array]

    def add(self, key: int) -> bool:
        """Whether the number is new."""
        bucket = self._buckets.get(key >> 48)
        if bucket is None:
            bucket = self._buckets[key >> 48] = array("Q")
        place = bisect_left(bucket, key)
        if place < len(bucket) and bucket[place] == key:
            return False
        bucket.insert(place, key)
        return True

    def __contains__(self, key: int) -> bool:
        bucket = self._buckets.get(key >> 48, ())
        place = bisect_left(bucket, key)
        return place < len(bucket) and bucket[place] == key

    def __len__(self) -> int:
        return sum(len(bucket) for bucket in self._buckets.values())


def chunk_key(chunk_id: bytes, generation: int) -> int:
    """Ids are spread evenly, so of 5 million chunks no two have the same key but for one chance in a million."""
    return (int.from_bytes(chunk_id[:8], "big") + generation * _SPREAD) & _MASK


def page_key(page_id: bytes) -> int:
    return int.from_bytes(page_id[:8], "big")
