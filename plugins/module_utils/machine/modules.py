# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules of one installed kernel: /lib/modules/<version>.

Formats: depmod(8), modules.dep(5), modprobe.d(5) (softdep), kernel Documentation/kbuild/kbuild.rst (modules.builtin).
Module names are normalised as the kernel does it: `-` becomes `_`, and the suffix (.ko, .ko.gz, .ko.xz, .ko.zst) is dropped.
"""

import re

from typing import Dict, Iterable, NamedTuple, Tuple

from ..errors import MachineError

INDEX_LIMIT = 64 * 1024 * 1024          # bytes of one modules.* index file; a distribution kernel's largest is about 2 MiB

_SUFFIX = re.compile(r"\.ko(?:\.(?:gz|xz|zst|bz2|lzma))?$")

# Where a driver's source folder in the kernel tree tells its kind. Both lists are prefixes below "kernel/".
_STORAGE = (
    "drivers/ata/", "drivers/block/", "drivers/cdrom/", "drivers/hv/", "drivers/ide/", "drivers/md/", "drivers/message/fusion/",
    "drivers/mmc/", "drivers/nvdimm/", "drivers/nvme/", "drivers/pci/controller/", "drivers/s390/block/", "drivers/scsi/",
    "drivers/usb/storage/", "drivers/virtio/", "drivers/xen/",
)
_NETWORK = ("drivers/net/",)


class KernelModules(NamedTuple):
    version: str
    directory: str                              # canonical path in the root: "/usr/lib/modules/6.1.0-18-amd64"; "": there is none
    builtin: Tuple[str, ...]                    # names of drivers built into the kernel, sorted
    files: Dict[str, str]                       # name -> path below `directory`: "kernel/drivers/block/virtio_blk.ko.xz"
    dependencies: Dict[str, Tuple[str, ...]]    # name -> all modules it needs, directly or not; itself not among them
    soft: Dict[str, Tuple[str, ...]]            # name -> modules that should be loaded with it (softdep pre and post)

    def state(self, name: str) -> str:
        """How this kernel has a driver: "module", "builtin", or "" when it has it not at all."""
        name = module_name(name)
        if name in self.files:
            return "module"
        return "builtin" if name in self.builtin else ""

    def closure(self, names: Iterable[str]) -> Tuple[str, ...]:
        """The given modules and all that they need, each once, a module after what it needs.

        Names that are built in or unknown are left out; so are soft dependencies that this kernel has not as a file.
        """
        order = {}      # type: Dict[str, None]
        waiting = [module_name(name) for name in names]
        seen = set()
        while waiting:
            name = waiting.pop(0)
            if name in seen or name not in self.files:
                continue
            seen.add(name)
            # modules.dep names the nearest dependency first, so the farthest has to be loaded first.
            needed = [other for other in reversed(self.dependencies.get(name, ())) if other in self.files]
            for other in needed + [name]:
                order.setdefault(other, None)
                waiting.extend(self.soft.get(other, ()))
        return tuple(order)


def module_name(path: str) -> str:
    """The normalised name of a module, told from its name or its file: "a/virtio-pci.ko.xz" -> "virtio_pci"."""
    return _SUFFIX.sub("", path.rsplit("/", 1)[-1]).replace("-", "_")


def is_module(path: str) -> bool:
    return _SUFFIX.search(path) is not None


def driver_class(path: str) -> str:
    """"storage" or "network" for a module path such as "…/kernel/drivers/scsi/virtio_scsi.ko", else ""."""
    inside = path.split("kernel/", 1)[-1]
    if inside.startswith(_STORAGE):
        return "storage"
    return "network" if inside.startswith(_NETWORK) else ""


def module_versions(tree) -> Tuple[str, ...]:
    """The kernel versions that have a folder below /lib/modules, sorted by name."""
    found = set()
    for base in ("/lib/modules", "/usr/lib/modules"):
        if tree.isdir(base):
            found.update(name for name in tree.listdir(base) if tree.isdir(base + "/" + name))
    return tuple(sorted(found))


def read_modules(tree, version: str) -> KernelModules:
    """Reads the index files of one kernel version in a mounted root.

    A kernel without a module folder (all built in, or a left-over image) gives an empty value with `directory` "".
    Raises MachineError when there are modules but no modules.dep: nobody could load them either.
    """
    directory = _directory(tree, version)
    if not directory:
        return KernelModules(version, "", (), {}, {}, {})
    files, dependencies = _read_dependencies(tree, directory)
    return KernelModules(version, directory, _read_builtin(tree, directory), files, dependencies, _read_soft(tree, directory, files))


def _directory(tree, version):
    if not version or "/" in version or version in (".", ".."):
        raise MachineError(f"{version!r} is no kernel version: it cannot name a folder below /lib/modules.")
    for base in ("/lib/modules", "/usr/lib/modules"):
        path = f"{base}/{version}"
        if tree.isdir(path):
            return tree.resolve(path)
    return ""


def _lines(tree, path):
    if not tree.isfile(path):
        return []
    return tree.read_bytes(path, limit=INDEX_LIMIT).decode("utf-8", "replace").splitlines()


def _read_dependencies(tree, directory):
    path = directory + "/modules.dep"
    if not tree.isfile(path):
        if tree.isdir(directory + "/kernel"):
            raise MachineError(
                f"{path} is missing, so no module of this kernel can be loaded. Run depmod on the source machine and capture it again."
            )
        return {}, {}
    version = directory.rsplit("/", 1)[-1]
    prefixes = (f"/lib/modules/{version}/", f"/usr/lib/modules/{version}/")

    def below(name):
        # module-init-tools, the depmod of older distributions, wrote absolute paths.
        for prefix in prefixes:
            if name.startswith(prefix):
                return name[len(prefix):]
        return name

    files, dependencies = {}, {}
    for line in _lines(tree, path):
        head, separator, tail = line.partition(":")
        if not separator or not head.strip():
            continue
        name = module_name(head.strip())
        files[name] = below(head.strip())
        needed = tail.split()
        if needed:
            dependencies[name] = tuple(module_name(other) for other in needed)
    return files, dependencies


def _read_builtin(tree, directory):
    return tuple(sorted({module_name(line.strip()) for line in _lines(tree, directory + "/modules.builtin") if line.strip()}))


def _read_soft(tree, directory, files):
    soft = {}
    for line in _lines(tree, directory + "/modules.softdep"):
        words = line.split()
        if len(words) > 2 and words[0] == "softdep":
            soft[module_name(words[1])] = tuple(module_name(word) for word in words[2:] if not word.endswith(":"))
    # Some name an algorithm that several modules give, such as crct10dif.
    aliases = {name: [] for names in soft.values() for name in names if name not in files}
    for line in _lines(tree, directory + "/modules.alias") if aliases else ():
        words = line.split()
        if len(words) == 3 and words[0] == "alias" and words[1].replace("-", "_") in aliases:
            aliases[words[1].replace("-", "_")].append(module_name(words[2]))
    return {name: tuple(module for other in names for module in aliases.get(other, (other,))) for name, names in soft.items()}
