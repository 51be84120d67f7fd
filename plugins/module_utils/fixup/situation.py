# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fix-ups need to know of a recovery image before they plan. Reading only."""

from typing import NamedTuple, Optional, Tuple

from ..errors import MachineError
from ..machine.bootloader import read_boot_entries
from ..machine.fstab import parse_fstab
from ..machine.initramfs import Initramfs, read_initramfs
from ..machine.kernels import IMAGE_PATTERNS, INITRAMFS_PATTERNS, NO_KERNEL, kernel_version
from ..machine.model import Disk, Mount, Nic
from ..machine.modules import KernelModules, read_modules
from ..machine.network.nics import read_nics
from ..machine.unified_kernel import find_unified, read_unified
from ..target.profile import Profile

SYSTEMD_UDEV = ("/lib/systemd/systemd-udevd", "/usr/lib/systemd/systemd-udevd")


class TargetNic(NamedTuple):
    """A NIC that the target shows."""
    mac: str                              # lower case
    name: str = ""                        # which of the machine's interfaces it becomes; "": the first not yet taken


class MappedAddress(NamedTuple):
    old: str                              # "192.0.2.10"
    new: str                              # "198.51.100.10/24"
    gateway: str = ""                     # "": stays
    nameservers: Tuple[str, ...] = ()     # empty: stay


class NetworkOptions(NamedTuple):
    mode: str = "keep"                    # keep dhcp mapped
    nics: Tuple[TargetNic, ...] = ()
    addresses: Tuple[MappedAddress, ...] = ()


class Options(NamedTuple):
    drivers: str = "union"                # union: disk drivers of all known profiles; target: of this one
    network: NetworkOptions = NetworkOptions()
    firmware: str = ""                    # bios uefi: what the guest gets; "": any that the profile offers


class BootKernel(NamedTuple):
    """A kernel with the initramfs that the boot loader gives it."""
    version: str
    image: str
    initramfs: str                        # canonical path, "": none
    archive: Optional[Initramfs]          # None: there is no initramfs, or it cannot be read
    modules: KernelModules
    problem: str = ""                     # why archive or modules could not be read
    unified: bool = False                 # image and initramfs are one file, which cannot be extended


class Situation(NamedTuple):
    tree: object                          # machine.tree.Tree
    disks: Tuple[Disk, ...]               # as captured
    profile: Profile
    options: Options
    mounts: Tuple[Mount, ...]
    kernels: Tuple[BootKernel, ...]
    nics: Tuple[Nic, ...]
    systemd: bool                         # udev is systemd's
    warnings: Tuple[str, ...]

    @property
    def firmware(self) -> Tuple[str, ...]:
        """The kinds of firmware that the target may start the machine with."""
        return (self.options.firmware,) if self.options.firmware else self.profile.firmware


def inspect(tree, disks, profile: Profile, options: Options = Options()) -> Situation:
    """Reads the mounted root. What cannot be read becomes a warning or the `problem` of a kernel."""
    warnings = []
    try:
        mounts = parse_fstab(tree.read_text("/etc/fstab"))
    except MachineError as error:
        mounts = ()
        warnings.append(str(error))
    return Situation(
        tree, tuple(disks), profile, options, mounts, _kernels(tree, mounts, warnings.append), tuple(read_nics(tree, warnings.append)),
        any(tree.isfile(path) for path in SYSTEMD_UDEV), tuple(warnings),
    )


def content_wanted(path: str) -> bool:
    """Files of an initramfs whose content fix-ups look at: its configuration, what it waits for, and the lists of its modules."""
    return (
        path.startswith(("conf/", "etc/cmdline.d/", "etc/systemd/network/", "etc/lvm/", "etc/mdadm/", "etc/mdadm.conf.d/"))
        or path in ("etc/fstab", "etc/crypttab", "cryptroot/crypttab", "etc/mdadm.conf")
        # the loading scripts of mkinitcpio and nash
        or path in ("config", "init")
        # dracut, wait_for_dev
        or "/initqueue/finished/" in path or path.startswith("initqueue-finished/") or path.endswith(".device.d/timeout.conf")
        or path.endswith(("/modules.dep", "/modules.builtin"))
    )


def _kernels(tree, mounts, warn):
    found = {}
    for entry in read_boot_entries(tree, warn):
        if not tree.isfile(entry.kernel):
            warn(f'The boot entry "{entry.title}" in {entry.file} starts {entry.kernel}, which does not exist.')
            continue
        # Loaders put microcode in front, so the initramfs proper is the last; what is appended to it is unpacked last.
        initramfs = tree.resolve(entry.initrds[-1], missing=True) if entry.initrds else ""
        found.setdefault((tree.resolve(entry.kernel), initramfs), (entry.kernel, entry.version))
    unified = find_unified(tree, mounts)
    if not found and not unified:
        warn("The boot loader's menu names no kernel that exists; every kernel in /boot counts as one that it may start.")
        found = _kernels_in_boot(tree)
    archives, modules = {}, {}
    kernels = []
    for (image, initramfs), (named, said) in found.items():
        kernels.append(_read_kernel(tree, kernel_version(tree, named, said), image, initramfs, archives, modules))
    started = [kernel.image for kernel in kernels]
    found = [_read_unified(tree, path, modules) for path in unified if path not in started]
    return tuple(kernels + [kernel for kernel in found if kernel is not None])


def _kernels_in_boot(tree):
    found = {}
    for pattern in IMAGE_PATTERNS:
        for path in tree.glob(pattern):
            if not tree.isfile(path) or path.endswith(NO_KERNEL):
                continue
            suffix = path.rsplit("/", 1)[-1].split("-", 1)[-1]
            beside = [place for place in (template.format(suffix) for template in INITRAMFS_PATTERNS) if tree.isfile(place)]
            found[tree.resolve(path), tree.resolve(beside[0]) if beside else ""] = path, ""
    return found


def _read_kernel(tree, version, image, initramfs, archives, modules):
    """`archives` and `modules` hold what was read before: several entries may share it."""
    problems = []
    if initramfs and initramfs not in archives:
        try:
            archives[initramfs] = read_initramfs(tree, initramfs, content_wanted), ""
        except MachineError as error:
            archives[initramfs] = None, str(error)
    archive, problem = archives.get(initramfs, (None, ""))
    problems.append(problem)
    of_version, problem = _modules_of(tree, version, modules)
    problems.append(problem)
    return BootKernel(version, image, initramfs, archive, of_version, " ".join(problem for problem in problems if problem))


def _read_unified(tree, path, modules):
    try:
        found = read_unified(tree, path, content_wanted)
    except MachineError as error:
        return BootKernel(path.rsplit("/", 1)[-1], path, path, None, KernelModules("", "", (), {}, {}, {}), str(error), True)
    if found is None:
        return None
    of_version, problem = _modules_of(tree, found.version, modules)
    return BootKernel(found.version, path, path, found.archive, of_version, problem, True)


def _modules_of(tree, version, modules):
    if version not in modules:
        try:
            modules[version] = read_modules(tree, version), ""
        except MachineError as error:
            modules[version] = KernelModules(version, "", (), {}, {}, {}), str(error)
    return modules[version]
