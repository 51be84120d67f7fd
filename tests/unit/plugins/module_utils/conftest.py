# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EFI programs that tests make, as small as they can be."""

import struct

import pytest


def _grub(prefix, config="", wide=True):
    """A program with GRUB's module area: a configuration if there is one, and the prefix."""
    area = b""
    for kind, text in ((2, config), (3, prefix)):
        if text or kind == 3:
            data = text.encode() + b"\0"
            data += bytes(-len(data) % 8)
            area += struct.pack("<II", kind, len(data) + 8) + data
    head = 24 if wide else 12
    return b"MZ".ljust(64, b"\0") + b"mimg" + struct.pack("<4xQQ" if wide else "<II", head, head + len(area)) + area


def _shim(second="grubx64.efi"):
    return b"MZ" + b"".join(("\0" + text + "\0").encode("utf-16-le") for text in ("\\fbx64.efi", "MokList", "\\" + second))


@pytest.fixture
def grub():
    return _grub


@pytest.fixture
def shim():
    return _shim
