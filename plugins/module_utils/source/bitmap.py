# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bitmaps to runs, fast: the interpreter's own loops (integer to text, regular expressions) find the edges, not ours."""

import re
from typing import List, Tuple

_ONES = re.compile("1+")
_NOT_ZERO = re.compile(b"[^\\0]+")


def set_runs(bitmap: bytes, bits: int) -> Tuple[List[Tuple[int, int]], int]:
    """Runs [first, end) of set bits among the first `bits` (least significant bit of each byte first), and how many bits are set."""
    value = int.from_bytes(bitmap, "little") & ((1 << bits) - 1)
    if not value:
        return [], 0
    if value == (1 << bits) - 1:
        return [(0, bits)], bits
    text = bin(value)[:1:-1]
    return [match.span() for match in _ONES.finditer(text)], text.count("1")


def nonzero_runs(values: bytes) -> List[Tuple[int, int]]:
    """Runs [first, end) of bytes that are not zero."""
    return [match.span() for match in _NOT_ZERO.finditer(values)]
