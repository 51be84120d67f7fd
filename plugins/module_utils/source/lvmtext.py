# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text format of LVM2's metadata (lvm2 lib/config/config.c, man lvm.conf): sections, strings, numbers and arrays of them."""

import re
from typing import Dict, Iterator, List, Tuple, Union

from .mapread import MapUnknown

Value = Union[int, float, str, list, dict]

_TOKEN = re.compile(r"""
    (?:\s+|\#[^\n]*)*
    (?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<number>[-+]?\d+(?:\.\d*)?)(?![\w.+-])
      | (?P<name>[A-Za-z0-9_.+/-]+)
      | (?P<sign>[{}\[\]=,])
      | (?P<end>\Z)
    )
""", re.X | re.S)
_ESCAPED = re.compile(r"\\(.)", re.S)


def parse(text: str) -> Dict[str, Value]:
    """The values of a text: sections as dictionaries, arrays as lists. MapUnknown where the text is no such text."""
    tokens = _tokens(text)
    root: Dict[str, Value] = {}
    open_sections = [root]
    for kind, name in tokens:
        if kind == "end" and len(open_sections) == 1:
            return root
        if (kind, name) == ("sign", "}") and len(open_sections) > 1:
            open_sections.pop()
            continue
        if kind not in ("name", "number") or name in open_sections[-1]:
            raise MapUnknown(f"the LVM metadata has {name!r} where a new name should be")
        sign = next(tokens)
        if sign == ("sign", "{"):
            section: Dict[str, Value] = {}
            open_sections[-1][name] = section
            open_sections.append(section)
        elif sign == ("sign", "="):
            open_sections[-1][name] = _value(tokens)
        else:
            raise MapUnknown(f"the LVM metadata has {sign[1]!r} after {name!r}")
    raise MapUnknown("the LVM metadata ends in the middle")


def _tokens(text: str) -> Iterator[Tuple[str, str]]:
    position = 0
    while True:
        match = _TOKEN.match(text, position)
        if not match:
            raise MapUnknown(f"the LVM metadata cannot be read at character {position}")
        yield match.lastgroup, match.group(match.lastgroup)
        if match.lastgroup == "end":
            return
        position = match.end()


def _value(tokens: Iterator[Tuple[str, str]]) -> Value:
    kind, word = next(tokens)
    if (kind, word) == ("sign", "["):
        return _array(tokens)
    return _scalar(kind, word)


def _array(tokens: Iterator[Tuple[str, str]]) -> List[Value]:
    values: List[Value] = []
    for kind, word in tokens:
        if (kind, word) == ("sign", "]"):
            return values
        if (kind, word) == ("sign", ","):
            continue
        values.append(_scalar(kind, word))
    raise MapUnknown("the LVM metadata ends in an array")


def _scalar(kind: str, word: str) -> Value:
    if kind == "string":
        return _ESCAPED.sub(r"\1", word[1:-1])
    if kind == "number":
        return float(word) if "." in word else int(word)
    raise MapUnknown(f"the LVM metadata has {word!r} where a value should be")
