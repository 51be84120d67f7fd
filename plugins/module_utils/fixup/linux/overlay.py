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

from typing import Dict, List, Tuple

from ...errors import FixupError
from ...machine import moduleindex
from ...machine.cpio import pack_archive
from ...machine.initramfs import Initramfs
from ...machine.modules import module_name
from ...machine.unpack import unpacked
from ..situation import BootKernel
from . import driver_loading

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


def held(kernel: BootKernel) -> Dict[str, str]:
    """name -> canonical path, of the modules that the initramfs holds for its kernel. Images for nash have them flat in /lib."""
    found = kernel.archive.modules(kernel.version)
    if not driver_loading.is_nash(kernel.archive):
        return found
    return dict({module_name(path): path for path in kernel.archive.entries if re.match(r"lib/[^/]+\.ko\Z", path)}, **found)


def missing(kernel: BootKernel, wanted: Tuple[str, ...]) -> Tuple[str, ...]:
    """The modules to be added, each after what it needs: the wanted drivers and their needs that /lib/modules has and the initramfs not."""
    there = held(kernel)
    return tuple(name for name in kernel.modules.closure(wanted) if name not in there)


def state(kernel: BootKernel, driver: str) -> str:
    """"module", "builtin" or "": how a kernel, with its initramfs, can come to have a driver at boot.

    /lib/modules is believed, where there is one of this version and its modules can be added. A rescue initramfs outlives the modules of
    its kernel, and a unified kernel image cannot be extended: these have what they hold.
    """
    if kernel.archive is None or kernel.modules.directory and not kernel.unified:
        found = kernel.modules.state(driver)
        return "" if found == "module" and not kernel.initramfs else found
    if driver in held(kernel):
        return "module"
    return "builtin" if driver in kernel.modules.builtin or driver in _builtin(kernel) else ""


def _builtin(kernel):
    return [module_name(line) for line in _index(kernel.archive, kernel.version, "modules.builtin").split()]


def _index(archive, version, name):
    """The text of an index file of modules in the initramfs, "" where it has none."""
    entry = archive.entries.get(archive.resolve(f"lib/modules/{version}/{name}"))
    return entry.data.decode("utf-8", "surrogateescape") if entry is not None and entry.data else ""


def unpacked_form(kernel: BootKernel) -> bool:
    """Whether the initramfs holds modules unpacked (virtio.ko) that lie compressed in /lib/modules (virtio.ko.xz).

    mkinitcpio does so on request (mkinitcpio.conf(5), MODULES_DECOMPRESS), since the initramfs is compressed as a whole. What is added is
    unpacked then too: programs that read modules need not know the compression in there.
    """
    files = kernel.modules.files
    return any(
        path.endswith(".ko") and name in files and not files[name].endswith(".ko")
        for name, path in kernel.archive.modules(kernel.version).items()
    )


def build(tree, kernel: BootKernel, modules: Tuple[str, ...], extra: Dict[str, bytes]) -> Tuple[bytes, Tuple[str, ...]]:
    """(archive, its paths): the given modules with the index files, and `extra` files by their path in the initramfs."""
    contents = _modules(tree, kernel, modules) if modules else {}
    contents.update(extra)
    entries = _placed(kernel.archive, contents)
    return pack_archive(entries), tuple(path for path, _mode, _data in entries)


def _modules(tree, kernel, modules):
    base, files = kernel.modules.directory, kernel.modules.files
    if driver_loading.is_nash(kernel.archive):
        return {
            f"lib/{files[name].rsplit('/', 1)[-1]}": tree.read_bytes(f"{base}/{files[name]}", limit=MODULE_LIMIT) for name in modules
        }
    home = f"lib/modules/{kernel.version}"
    unpack = unpacked_form(kernel)
    contents = {}
    for name in modules:
        data = tree.read_bytes(f"{base}/{files[name]}", limit=MODULE_LIMIT)
        path = _plain(files[name]) if unpack else files[name]
        contents[f"{home}/{path}"] = unpacked(data, MODULE_LIMIT) if unpack else data
    for name in INDEX:
        if tree.isfile(f"{base}/{name}"):
            contents[f"{home}/{name}"] = tree.read_bytes(f"{base}/{name}", limit=MODULE_LIMIT)
    places, more = _places(kernel, unpack), _lines_of_others(kernel)
    if places or more:
        text = contents[f"{home}/modules.dep"].decode("utf-8", "surrogateescape")
        text += ("" if text.endswith("\n") else "\n") + more
        text, lines = moduleindex.renamed(text, lambda path: _renamed(path, files, places))
        contents[f"{home}/modules.dep"] = text.encode("utf-8", "surrogateescape")
        if f"{home}/modules.dep.bin" in contents:
            try:
                contents[f"{home}/modules.dep.bin"] = moduleindex.pack(lines)
            except ValueError:
                raise FixupError(f"{base}/modules.dep names a module that is not written in ASCII, which no index of modules can hold.")
    return contents


def _places(kernel, unpack):
    """name -> path below the folder of modules, of those that the initramfs has elsewhere than /lib/modules; all of them if `unpack`."""
    there = {name: path.partition(f"lib/modules/{kernel.version}/")[2] for name, path in kernel.archive.modules(kernel.version).items()}
    places = {}
    for name, path in kernel.modules.files.items():
        place = there.get(name, _plain(path) if unpack else path)
        if place != path:
            places[name] = place
    return places


def _lines_of_others(kernel):
    """Of the initramfs' own modules.dep: modules that /lib/modules has no more, such as those of a package that was removed since."""
    text = _index(kernel.archive, kernel.version, "modules.dep")
    lines = [line for line in text.splitlines() if ":" in line and module_name(line.partition(":")[0]) not in kernel.modules.files]
    return "".join(line + "\n" for line in lines)


def _renamed(path, files, places):
    """A path in modules.dep; that of older distributions begins with the folder."""
    name = module_name(path)
    if name not in places:
        return path
    return (path[:-len(files[name])] if path.endswith(files[name]) else "") + places[name]


def _plain(path):
    return path.rpartition(".ko")[0] + ".ko"


def _placed(archive: Initramfs, contents) -> List[Tuple[str, int, bytes]]:
    """Entries at their canonical paths, with the folders that are missing on the way."""
    made, placed = {}, []
    for path, data in contents.items():
        folder, _slash, name = path.rpartition("/")
        folder = _folder(archive, folder, made)
        path = f"{folder}/{name}" if folder else name
        old = archive.entries.get(path)
        permissions = stat.S_IMODE(old.mode) if old is not None and stat.S_ISREG(old.mode) else 0o644
        placed.append((path, stat.S_IFREG | permissions, data))
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
    heads = re.findall(r"^([^\s:]+):", _index(archive, version, "modules.dep"), re.MULTILINE)
    return {module_name(head): head for head in heads}
