# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's screen: as a picture in a PNG file, and as text where it is in a VGA text mode.

QEMU 7.1 and newer write PNG themselves where they were built with libpng; all others write PPM, which is turned into PNG here.
Formats: PNG (ISO/IEC 15948), netpbm PPM "P6".
"""

import os
import re
import struct
import zlib

from ..errors import TargetError
from .qemu_command import QMP_SOCKET
from .qmp import Qmp, QmpError

_SHOT = "screen.tmp"
_TEXT = "text.tmp"
_TEXT_MEMORY, _COLUMNS, _ROWS = 0xB8000, 80, 25      # VGA text mode 3: two bytes a cell, character and attribute
_PPM_HEADER = re.compile(rb"P6\s+(\d+)\s+(\d+)\s+(\d+)\s")


def take_screenshot(run_dir, path):
    """Writes the guest's screen to `path` as PNG, whole or not at all. Raises TargetError, OSError."""
    shot = os.path.join(run_dir, _SHOT)
    try:
        with Qmp(run_dir, QMP_SOCKET, timeout=30.0) as qmp:
            try:
                qmp.execute("screendump", filename=_SHOT, format="png")
            except QmpError:
                qmp.execute("screendump", filename=_SHOT)
        with open(shot, "rb") as stream:
            data = stream.read()
    finally:
        if os.path.exists(shot):
            os.unlink(shot)
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        data = png_from_ppm(data)
    temporary = f"{path}.partial"
    with open(temporary, "wb") as stream:
        stream.write(data)
    os.replace(temporary, path)


def read_text_screen(run_dir):
    """The 25 lines of a screen in VGA text mode, where a machine without a serial console says why it does not boot.

    In a graphics mode the text makes no sense. Raises TargetError, OSError.
    """
    shot = os.path.join(run_dir, _TEXT)
    try:
        with Qmp(run_dir, QMP_SOCKET) as qmp:
            qmp.execute("pmemsave", val=_TEXT_MEMORY, size=_COLUMNS * _ROWS * 2, filename=_TEXT)
        with open(shot, "rb") as stream:
            text = stream.read()[::2].decode("cp437").replace("\0", " ")
    finally:
        if os.path.exists(shot):
            os.unlink(shot)
    return "\n".join(text[start:start + _COLUMNS].rstrip() for start in range(0, len(text), _COLUMNS))


def png_from_ppm(data):
    """PNG bytes of a binary PPM picture with 8 bits a sample. Raises TargetError."""
    header = _PPM_HEADER.match(data)
    if not header or header.group(3) != b"255":
        raise TargetError("QEMU wrote a picture of the guest's screen in an unknown format.")
    width, height = int(header.group(1)), int(header.group(2))
    row = width * 3
    pixels = memoryview(data)[header.end():]
    if not width or not height or len(pixels) < row * height:
        raise TargetError("QEMU's picture of the guest's screen is cut short.")
    # filter type 0 before every row: the rows are stored as they are
    raw = b"".join(b"\0" + bytes(pixels[start:start + row]) for start in range(0, row * height, row))
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)        # 8 bits, RGB, deflate, no interlace
    return b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", size) + _png_chunk(b"IDAT", zlib.compress(raw, 6)) + _png_chunk(b"IEND", b"")


def _png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) & 0xFFFFFFFF)
