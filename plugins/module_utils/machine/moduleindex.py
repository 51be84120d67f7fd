# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""modules.dep and modules.dep.bin, written anew for an initramfs whose module files are not named as in /lib/modules.

Formats: modules.dep(5); the comment "Disk format" in kmod's libkmod/libkmod-index.c for the binary form, which is the only one that
kmod's modprobe and udev read (busybox and module-init-tools read the text). Numbers are 32 bits, most significant byte first. A node is
    prefix, NUL                               if it has one
    first and last character, then one offset for each character between them (0: no child)
    count of values, then priority, text and NUL of each
and the high bits of an offset say which of the three parts the node has.
"""

import struct

from typing import Callable, Dict, List, Tuple

MAGIC = 0xB007F457
VERSION = 0x00020001                    # major and minor, since module-init-tools 3.4

_PREFIX, _VALUES, _CHILDREN = 0x80000000, 0x40000000, 0x20000000


def renamed(text: str, place: Callable[[str], str]) -> Tuple[str, Dict[str, str]]:
    """A modules.dep with every path replaced by what `place` gives for it, and its lines by module name (of the file) for `pack`."""
    lines, by_name = [], {}
    for line in text.splitlines():
        head, colon, tail = line.partition(":")
        if not colon or not head.strip():
            continue
        line = " ".join([place(head.strip()) + ":"] + [place(path) for path in tail.split()])
        lines.append(line + "\n")
        by_name.setdefault(head.strip().rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_"), line)
    return "".join(lines), by_name


def pack(values: Dict[str, str]) -> bytes:
    """The binary index of `values`. Raises ValueError for text that is not ASCII, which depmod refuses too."""
    keys = sorted(key.encode("ascii") for key in values)
    encoded = {key.encode("ascii"): (number, value.encode("ascii")) for number, (key, value) in enumerate(values.items())}
    pieces = [b""]
    offset = _node(keys, 0, encoded, pieces, 12)[0]
    pieces[0] = struct.pack(">III", MAGIC, VERSION, offset)
    return b"".join(pieces)


def _node(keys: List[bytes], depth, values, pieces, at) -> Tuple[int, int]:
    """Writes the node that all `keys` (sorted, equal in their first `depth` bytes) go through to `at`. Gives (offset with flags, end)."""
    first, last = (keys[0], keys[-1]) if keys else (b"", b"")
    end = depth
    while end < min(len(first), len(last)) and first[end] == last[end]:
        end += 1
    prefix = first[depth:end]
    own = values[first] if keys and len(first) == end else None
    groups = {}                         # next character -> keys
    for key in keys:
        if len(key) > end:
            groups.setdefault(key[end], []).append(key)
    head = prefix + b"\0" if prefix else b""
    tail = b"" if own is None else struct.pack(">II", 1, own[0]) + own[1] + b"\0"
    flags = (_PREFIX if prefix else 0) | (0 if own is None else _VALUES) | (_CHILDREN if groups else 0)
    if not groups:
        pieces.append(head + tail)
        return at | flags, at + len(head) + len(tail)
    low, high = min(groups), max(groups)
    slot = len(pieces)
    pieces.append(b"")                  # the children must be placed first
    offsets = [0] * (high - low + 1)
    position = at + len(head) + 2 + 4 * len(offsets) + len(tail)
    for letter in sorted(groups):
        offsets[letter - low], position = _node(groups[letter], end + 1, values, pieces, position)
    pieces[slot] = head + bytes((low, high)) + struct.pack(">%dI" % len(offsets), *offsets) + tail
    return at | flags, position
