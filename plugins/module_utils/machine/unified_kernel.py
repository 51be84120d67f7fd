# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unified kernel images: EFI programs whose sections hold kernel, initramfs and command line (UAPI unified kernel image specification).

PE format: Microsoft "PE Format", section table behind the optional header. Sections behind the first .profile belong to other profiles.
"""

import os
import struct

from typing import Callable, Dict, NamedTuple, Optional, Sequence, Tuple

from ..errors import MachineError
from . import esp
from .bootloader import BOOT_FOLDERS
from .initramfs import Initramfs, parse_initramfs
from .model import Mount

FOLDER = "EFI/Linux"           # UAPI boot loader specification, "type #2", on the EFI system partition or the extended boot partition
MAX_SECTIONS = 96              # "PE Format", COFF file header: more are not loaded
MAX_COMMAND_LINE = 64 * 1024   # bytes; far above what a kernel takes
MAX_VERSION = 1024             # bytes


class Unified(NamedTuple):
    version: str               # of the kernel, as uname -r tells it
    archive: Initramfs


def find_unified(tree, mounts: Sequence[Mount] = ()) -> Tuple[str, ...]:
    """Canonical paths of the programs that the firmware or systemd-boot takes for unified kernel images; some may be others."""
    found = {}
    for point in tuple(BOOT_FOLDERS) + esp.system_partitions(tree, mounts):
        folder = esp.find(tree, point, FOLDER)
        for name in tree.listdir(folder) if folder and tree.isdir(folder) else ():
            path = f"{folder}/{name}"
            if name.lower().endswith(".efi") and tree.exists(path) and not tree.isdir(path):
                found[tree.resolve(path)] = None
    return tuple(found)


def read_command_line(tree, path: str) -> Optional[str]:
    """The command line built into the image, "" where it has none; None for a file that is no unified kernel image."""
    with tree.open(path) as file:
        sections = _sections(file)
        return _text(file, sections, ".cmdline", MAX_COMMAND_LINE) if ".linux" in sections else None


def read_unified(tree, path: str, wanted: Optional[Callable[[str], bool]] = None) -> Optional[Unified]:
    """None for a file that is no unified kernel image. Raises MachineError when its initramfs or version is missing or cannot be read.

    `wanted` as for `read_initramfs`.
    """
    with tree.open(path) as file:
        sections = _sections(file)
        if ".linux" not in sections:
            return None
        if ".initrd" not in sections:
            raise MachineError(f"{path} is a unified kernel image without an initramfs.")
        version = _text(file, sections, ".uname", MAX_VERSION)
        archive = parse_initramfs(_Part(file, *sections[".initrd"]), path, wanted)
    # The specification does not demand .uname.
    held = {inside.partition("lib/modules/")[2].partition("/")[0] for inside in archive.modules().values()}
    if not version and len(held) != 1:
        raise MachineError(f"{path} does not say which kernel version it holds.")
    return Unified(version or held.pop(), archive)


def _text(file, sections, name, limit):
    offset, size = sections.get(name, (0, 0))
    file.seek(offset)
    return file.read(min(size, limit)).split(b"\0", 1)[0].decode("utf-8", "surrogateescape").strip() if size else ""


def _sections(file) -> Dict[str, Tuple[int, int]]:
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
        name = name.rstrip(b"\0").decode("ascii", "replace")
        if name == ".profile":
            break
        # The size on disk is rounded up to the alignment of the file.
        found.setdefault(name, (offset, min(virtual_size, raw_size) or raw_size))
    return found


class _Part:
    """Some bytes of a file as a file."""

    def __init__(self, stream, offset, size):
        end = stream.seek(0, os.SEEK_END)
        self._stream, self._offset = stream, min(offset, end)
        self._size = min(size, end - self._offset)
        self._at = 0

    def seek(self, position, whence=os.SEEK_SET):
        self._at = position if whence == os.SEEK_SET else self._size + position
        return self._at

    def read(self, count):
        self._stream.seek(self._offset + self._at)
        data = self._stream.read(max(0, min(count, self._size - self._at)))
        self._at += len(data)
        return data
