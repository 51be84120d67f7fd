# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addition to an initramfs: a small archive that the kernel unpacks over what is there.

It holds module files from the image's own /lib/modules with all that they need, the index files of that kernel's modules, and changed
configuration. What the kernel does with it is in machine/initramfs.py; so an existing folder gets no entry of its own (it could replace
a link such as lib -> usr/lib), and a missing one gets one, parents first.
"""

import re
import stat
import struct
import zlib

from typing import Dict, List, NamedTuple, Tuple

from ...errors import FixupError
from ...machine.cpio import pack_archive
from ...machine.initramfs import Initramfs
from ...machine.modules import module_name
from ..situation import BootKernel

MODULE_LIMIT = 64 * 1024 * 1024          # bytes of one module file

# What modprobe and udev read (kmod: libkmod-index.c, depmod.c). Left out: modules.order and modules.symbols*, which only depmod
# and debuggers use.
INDEX = (
    "modules.alias",
    "modules.alias.bin",
    "modules.builtin",
    "modules.builtin.alias.bin",
    "modules.builtin.bin",
    "modules.builtin.modinfo",
    "modules.dep",
    "modules.dep.bin",
    "modules.devname",
    "modules.softdep",
    "modules.weakdep",
)

_LZ4_MAGIC = struct.pack("<I", 0x184C2102)
_LZ4_BLOCK = 4 * 1024 * 1024             # bytes; the format allows 8 MiB


class Need(NamedTuple):
    """What one kernel's initramfs lacks."""
    modules: Tuple[str, ...]             # to be added, each after what it needs
    unavailable: Tuple[str, ...]         # wanted drivers that this kernel has not at all


def missing(kernel: BootKernel, wanted: Tuple[str, ...]) -> Need:
    """Compares the wanted drivers, with all that they need, with what kernel and initramfs have."""
    there = kernel.archive.modules(kernel.version)
    closure = kernel.modules.closure(wanted)
    return Need(
        tuple(name for name in closure if name not in there),
        tuple(name for name in wanted if not kernel.modules.state(name)),
    )


def foreign_form(kernel: BootKernel) -> Tuple[str, ...]:
    """Modules whose file in the initramfs is named otherwise than in /lib/modules: unpacked there (virtio.ko for virtio.ko.xz).

    The index of /lib/modules would then name files that the initramfs has not.
    """
    there = kernel.archive.modules(kernel.version)
    return tuple(
        sorted(name for name, path in there.items() if name in kernel.modules.files and not path.endswith("/" + kernel.modules.files[name]))
    )


def build(tree, kernel: BootKernel, modules: Tuple[str, ...], extra: Dict[str, bytes]) -> Tuple[bytes, Tuple[str, ...]]:
    """(archive, its paths): the given modules with the index files, and `extra` files by their path in the initramfs."""
    contents = {}
    if modules:
        base = kernel.modules.directory
        home = f"lib/modules/{kernel.version}"
        for name in modules:
            path = kernel.modules.files[name]
            contents[f"{home}/{path}"] = tree.read_bytes(f"{base}/{path}", limit=MODULE_LIMIT)
        for name in INDEX:
            if tree.isfile(f"{base}/{name}"):
                contents[f"{home}/{name}"] = tree.read_bytes(f"{base}/{name}", limit=MODULE_LIMIT)
    contents.update(extra)
    entries = _placed(kernel.archive, contents)
    return pack_archive(entries), tuple(path for path, _mode, _data in entries)


def _placed(archive: Initramfs, contents) -> List[Tuple[str, int, bytes]]:
    """Entries at their canonical paths, with the folders that are missing on the way."""
    made, placed = {}, []
    for path, data in contents.items():
        folder, _slash, name = path.rpartition("/")
        folder = _folder(archive, folder, made)
        placed.append((f"{folder}/{name}" if folder else name, stat.S_IFREG | 0o644, data))
    folders = [(path, stat.S_IFDIR | 0o755, b"") for path in made]
    return folders + placed


def _folder(archive, path, made):
    """The canonical path of a folder; it and its parents are put into `made` where they are missing."""
    here = ""
    for part in [part for part in path.split("/") if part]:
        step = f"{here}/{part}" if here else part
        if step in made or here in made:
            made[step] = None
            here = step
            continue
        found = archive.resolve(step)
        entry = archive.entries.get(found)
        if entry is None:
            if found != step:
                where = found or "a missing folder"
                raise FixupError(f"The initramfs has a link at {step} that leads nowhere ({where}), so nothing can be added below it.")
            made[step] = None
            here = step
        elif stat.S_ISDIR(entry.mode):
            here = found
        else:
            raise FixupError(f"The initramfs has a file at {step} where a folder should be.")
    return here


def pack(archive: Initramfs, data: bytes, gzip: bool) -> bytes:
    """The bytes to append: `data` in a form that this kernel surely unpacks behind what is there, with zeros in front to align it."""
    if archive.segments[-1].compression == "lz4":
        # Kernels before 5.8 read on behind an lz4 stream as if it went on: only another lz4 stream may follow, and no zeros. It holds
        # the bytes as they are.
        return b"" if not data else _LZ4_MAGIC + b"".join(_lz4_literals(data[at:at + _LZ4_BLOCK]) for at in range(0, len(data), _LZ4_BLOCK))
    if gzip:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)          # no time stamp: the same input gives the same bytes
        data = packer.compress(data) + packer.flush()
    return bytes(-archive.size % 4) + data


def _lz4_literals(data: bytes) -> bytes:
    """One block of an lz4 legacy frame: a single sequence of literals (lz4 doc/lz4_Block_format.md)."""
    length = len(data)
    if length < 15:
        head = bytes([length << 4])
    else:
        head = b"\xf0" + b"\xff" * ((length - 15) // 255) + bytes([(length - 15) % 255])
    return struct.pack("<I", len(head) + length) + head + data


def listed(archive: Initramfs, version: str) -> Dict[str, str]:
    """name -> path, of the modules that the initramfs' own modules.dep lists for this version."""
    index = archive.entries.get(archive.resolve(f"lib/modules/{version}/modules.dep"))
    if index is None or index.data is None:
        return {}
    heads = re.findall(r"^([^\s:]+):", index.data.decode("utf-8", "replace"), re.MULTILINE)
    return {module_name(head): head for head in heads}
