# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unified kernel images: EFI programs whose sections hold kernel, initramfs and command line (UAPI unified kernel image specification).

PE format: Microsoft "PE Format", section table behind the optional header.
"""

import struct

from typing import Dict, Optional

MAX_SECTIONS = 96              # "PE Format", COFF file header: more are not loaded
MAX_COMMAND_LINE = 64 * 1024   # bytes; far above what a kernel takes


def read_command_line(tree, path: str) -> Optional[str]:
    """The command line built into the image, "" where it has none; None for a file that is no unified kernel image."""
    with tree.open(path) as file:
        sections = _sections(file)
        if ".linux" not in sections:
            return None
        offset, size = sections.get(".cmdline", (0, 0))
        file.seek(offset)
        return file.read(min(size, MAX_COMMAND_LINE)).split(b"\0", 1)[0].decode("utf-8", "surrogateescape").strip() if size else ""


def _sections(file) -> Dict[str, tuple]:
    """name -> (offset in the file, bytes that count)."""
    head = file.read(64)
    if len(head) < 64 or head[:2] != b"MZ":
        return {}
    start = struct.unpack_from("<I", head, 60)[0]
    file.seek(start)
    header = file.read(24)
    if len(header) < 24 or header[:4] != b"PE\0\0":
        return {}
    count, optional_size = struct.unpack_from("<H", header, 6)[0], struct.unpack_from("<H", header, 20)[0]
    file.seek(start + 24 + optional_size)
    table = file.read(40 * min(count, MAX_SECTIONS))
    found = {}
    for at in range(0, len(table) - 39, 40):
        name, virtual_size, _address, raw_size, offset = struct.unpack_from("<8sIIII", table, at)
        # The size on disk is rounded up to the alignment of the file.
        found.setdefault(name.rstrip(b"\0").decode("ascii", "replace"), (offset, min(virtual_size, raw_size) or raw_size))
    return found
