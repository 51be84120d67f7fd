# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A key file as text that is printed, kept in a safe, and typed in again: the recovery key.

Four lines of five groups of four signs; docs/format.md gives the encoding. The last group of a line checks the others, so a typing error
is found and its line is named. The signs are Crockford's base 32: no letter can be mistaken for a digit, and case does not matter.
"""

import hashlib
import os
import re
from typing import List

from ..errors import KeyAccessError
from .keys import KeyFile

_SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"     # https://www.crockford.com/base32.html
_MISREAD = str.maketrans("OIL", "011")
_LINES = 4
_LINE_BYTES = 10                                # 16 signs of 5 bits
_LINE_SIGNS = 20                                # with the check of 4 signs
_CHECK_BITS = 20
_GROUP = 4
_LABEL = b"agnostic.recovery recovery key"


def new_recovery_key() -> KeyFile:
    """A fresh random key of 40 bytes."""
    return KeyFile(os.urandom(_LINES * _LINE_BYTES))


def write_recovery_key(key: KeyFile) -> List[str]:
    """The four lines that a key from `new_recovery_key` is printed as."""
    lines = []
    for number in range(_LINES):
        part = key.data[number * _LINE_BYTES:(number + 1) * _LINE_BYTES]
        text = _encode(int.from_bytes(part, "big"), _LINE_SIGNS - _GROUP) + _check(number, part)
        lines.append(" ".join(text[start:start + _GROUP] for start in range(0, _LINE_SIGNS, _GROUP)))
    return lines


def read_recovery_key(text: str) -> KeyFile:
    """Undo `write_recovery_key`; spaces, hyphens, line breaks and line numbers ("1:") do not matter.

    Raises KeyAccessError that names the line with a typing error, and never what was typed.
    """
    lines = [re.sub(r"^\s*\d\s*[:.)]", "", line) for line in text.split("\n")]
    lines = [line for line in (re.sub(r"[\s-]", "", line).upper().translate(_MISREAD) for line in lines) if line]
    if len(lines) != _LINES:
        signs = "".join(lines)
        if len(signs) != _LINES * _LINE_SIGNS:
            raise KeyAccessError(f"The recovery key has {_LINES} lines of {_LINE_SIGNS} signs, {_LINES * _LINE_SIGNS} in all; "
                                 f"given are {len(signs)} signs in {len(lines)} lines. With line breaks it is told which line is wrong.")
        lines = [signs[start:start + _LINE_SIGNS] for start in range(0, len(signs), _LINE_SIGNS)]
    return KeyFile(b"".join(_read_line(number, line) for number, line in enumerate(lines)))


def _read_line(number: int, line: str) -> bytes:
    if len(line) != _LINE_SIGNS:
        raise KeyAccessError(f"Line {number + 1} of the recovery key has {len(line)} signs instead of {_LINE_SIGNS}.")
    for position, sign in enumerate(line):
        if sign not in _SIGNS:
            raise KeyAccessError(f"Group {position // _GROUP + 1} of line {number + 1} of the recovery key has a sign that no recovery key "
                                 "has: there are digits and letters without I, L, O, U.")
    value = 0
    for sign in line[:-_GROUP]:
        value = value << 5 | _SIGNS.index(sign)
    part = value.to_bytes(_LINE_BYTES, "big")
    if _check(number, part) != line[-_GROUP:]:
        raise KeyAccessError(f"There is a typing error in line {number + 1} of the recovery key: its last group does not fit the others. "
                             "Compare it with the paper, and the order of the lines.")
    return part


def _check(number: int, part: bytes) -> str:
    digest = hashlib.sha256(_LABEL + bytes((number + 1,)) + part).digest()
    return _encode(int.from_bytes(digest[:4], "big") >> (32 - _CHECK_BITS), _GROUP)


def _encode(value: int, signs: int) -> str:
    return "".join(_SIGNS[value >> 5 * place & 31] for place in reversed(range(signs)))
