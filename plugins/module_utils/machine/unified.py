# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unified kernel images: kernel, initramfs and command line in one program for UEFI.

Formats: UAPI group, "Unified Kernel Image" (sections .linux, .initrd, .uname, .cmdline; those behind the first .profile belong to other
profiles); Microsoft PE/COFF specification (section table).
"""

import os
import struct

from typing import Callable, Dict, NamedTuple, Optional, Tuple

from ..errors import MachineError
from .initramfs import Initramfs, parse_initramfs

# Where systemd-boot and firmware find them (UAPI boot loader specification, "type #2"); $BOOT and the ESP may be mounted at any of these.
PATTERNS = tuple(folder + "/[Ee][Ff][Ii]/[Ll][Ii][Nn][Uu][Xx]/*.[Ee][Ff][Ii]" for folder in ("/boot", "/efi", "/boot/efi"))

SECTION_LIMIT = 96                       # sections of one image, the bound of the PE loader of Windows
TEXT_LIMIT = 64 * 1024                   # bytes of .uname


class Unified(NamedTuple):
    version: str                         # of the kernel, as uname -r tells it
    archive: Initramfs                   # .initrd


def find_unified(tree) -> Tuple[str, ...]:
    """The paths of the unified kernel images in a root, each once."""
    return tuple(sorted({tree.resolve(path) for pattern in PATTERNS for path in tree.glob(pattern) if tree.isfile(path)}))


def read_unified(tree, path: str, wanted: Optional[Callable[[str], bool]] = None) -> Unified:
    """Raises MachineError for a file that is none, or whose initramfs cannot be read. `wanted` as for `read_initramfs`."""
    with tree.open(path) as stream:
        try:
            sections = _sections(stream)
        except struct.error:
            raise MachineError(f"{path} is no program for UEFI: it ends inside its headers.")
        if ".linux" not in sections:
            raise MachineError(f"{path} is no unified kernel image: it has no section .linux.")
        if ".initrd" not in sections:
            raise MachineError(f"{path} is a unified kernel image without an initramfs.")
        version = ""
        if ".uname" in sections:
            offset, size = sections[".uname"]
            stream.seek(offset)
            version = stream.read(min(size, TEXT_LIMIT)).split(b"\0", 1)[0].decode("utf-8", "replace").strip()
        archive = parse_initramfs(_Part(stream, *sections[".initrd"]), path, wanted)
    # The specification does not demand .uname.
    held = {inside.partition("lib/modules/")[2].partition("/")[0] for inside in archive.modules().values()}
    if not version and len(held) != 1:
        raise MachineError(f"{path} does not say which kernel version it holds.")
    return Unified(version or held.pop(), archive)


def _sections(stream) -> Dict[str, Tuple[int, int]]:
    """name -> (offset, size) in the file."""
    head = stream.read(64)
    if head[:2] != b"MZ":
        return {}
    stream.seek(struct.unpack_from("<I", head, 0x3C)[0])
    coff = stream.read(24)
    if coff[:4] != b"PE\0\0":
        return {}
    count, optional = struct.unpack_from("<H", coff, 6)[0], struct.unpack_from("<H", coff, 20)[0]
    stream.seek(optional, os.SEEK_CUR)
    found = {}
    for _number in range(min(count, SECTION_LIMIT)):
        name, virtual, _address, raw, offset = struct.unpack("<8sIIII", stream.read(40)[:24])
        name = name.rstrip(b"\0").decode("ascii", "replace")
        if name == ".profile":
            break
        # The size in memory is that of the content; the one in the file is rounded up.
        found.setdefault(name, (offset, min(virtual, raw) if virtual else raw))
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
