# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kernels that a root can start, each with its initramfs and the drivers that both hold."""

import re
import struct

from ..errors import MachineError
from .drivers import KNOWN_DRIVERS
from .initramfs import initramfs_drivers, storage_drivers
from .model import Kernel
from .modules import read_modules
from .unified_kernel import find_unified, read_unified

IMAGE_PATTERNS = ("/boot/vmlinuz-*", "/boot/vmlinux-*", "/boot/Image-*", "/boot/kernel-*")
INITRAMFS_PATTERNS = ("/boot/initrd.img-{}", "/boot/initramfs-{}.img", "/boot/initrd-{}", "/boot/initrd-{}.img", "/boot/initramfs-{}")
NO_KERNEL = (".old", ".bak", ".hmac", ".sig", ".signed", ".rpmsave", ".dpkg-bak")


def read_kernels(tree, entries, warn):
    """A tuple of `Kernel`: first what the boot entries name, in their order, then other kernels in /boot, then unified kernel images,
    whose image is their initramfs too.

    A kernel that is started with two different initramfs (a rescue entry) comes twice. `warn(text)` is told what is missing
    or unreadable.
    """
    found = {}
    for entry in entries:
        if not tree.isfile(entry.kernel):
            warn(f'The boot entry "{entry.title}" in {entry.file} starts {entry.kernel}, which does not exist.')
            continue
        initramfs = _own_initramfs(entry.initrds)
        if initramfs and not tree.isfile(initramfs):
            warn(f'The boot entry "{entry.title}" in {entry.file} loads {initramfs}, which does not exist.')
            initramfs = ""
        identity = tree.resolve(entry.kernel), tree.resolve(initramfs) if initramfs else ""
        found.setdefault(identity, (entry.kernel, initramfs, entry.version))
    started = {image for image, _initramfs in found}
    for pattern in IMAGE_PATTERNS:
        for path in tree.glob(pattern):
            if path.endswith(NO_KERNEL) or not tree.isfile(path) or tree.resolve(path) in started:
                continue
            started.add(tree.resolve(path))
            found[tree.resolve(path), ""] = (path, _initramfs_beside(tree, path), "")
    cache = {}
    kernels = [_describe(tree, image, initramfs, version, warn, cache) for image, initramfs, version in found.values()]
    unified = [_unified(tree, path, warn, cache) for path in find_unified(tree) if path not in started]
    return tuple(kernels + [kernel for kernel in unified if kernel is not None])


def _own_initramfs(initrds):
    """The last one that is not microcode: loaders put microcode in front."""
    kept = [path for path in initrds if not re.search(r"(ucode|microcode)[^/]*$", path)]
    return kept[-1] if kept else ""


def _initramfs_beside(tree, image):
    suffix = image.rsplit("/", 1)[-1].split("-", 1)[-1]
    for pattern in INITRAMFS_PATTERNS:
        if tree.isfile(pattern.format(suffix)):
            return pattern.format(suffix)
    return ""


def _describe(tree, image, initramfs, version, warn, cache):
    version = kernel_version(tree, image, version)
    builtin, modules = _drivers(tree, version, warn, cache)
    held = ()
    if initramfs:
        try:
            held = initramfs_drivers(tree, initramfs)
        except MachineError as error:
            warn(f"What {initramfs} holds is not known, so the drivers of kernel {version} cannot be checked: {error}")
    return Kernel(version, image, initramfs, builtin, modules, held)


def _unified(tree, path, warn, cache):
    try:
        found = read_unified(tree, path)
    except MachineError as error:
        warn(f"What {path} holds is not known: {error}")
        return Kernel(path.rsplit("/", 1)[-1], path, path)
    if found is None:
        return None
    builtin, modules = _drivers(tree, found.version, warn, cache)
    return Kernel(found.version, path, path, builtin, modules, storage_drivers(found.archive))


def _drivers(tree, version, warn, cache):
    """(built in, as modules) of the drivers that matter, sorted; read once for each version."""
    if version not in cache:
        cache[version] = (), ()
        try:
            found = read_modules(tree, version)
        except MachineError as error:
            warn(f"The modules of kernel {version} cannot be read: {error}")
        else:
            if not found.files:
                warn(f"There are no modules for kernel {version} in /lib/modules.")
            cache[version] = tuple(tuple(sorted(KNOWN_DRIVERS.intersection(names))) for names in (found.builtin, found.files))
    return cache[version]


def kernel_version(tree, image, said=""):
    """The version of a kernel image, as uname -r would tell it.

    What has a folder in /lib/modules is believed first: the version that the boot entry `said`, or the one in the file's name. Then the
    image itself is asked, since names like "vmlinuz-linux" or "vmlinuz-0-rescue-…" hold none.
    """
    named = tree.resolve(image)
    if named.endswith("/linux"):    # kernel-install puts kernels in $BOOT/<entry token>/<version>/linux
        named = named.rsplit("/", 2)[-2]
    else:
        named = named.rsplit("/", 1)[-1].split("-", 1)[-1]
    for version in (said, named):
        if version and "/" not in version and version not in (".", "..") and tree.isdir(f"/lib/modules/{version}"):
            return version
    return _version_in_image(tree, image) or said or named


def _version_in_image(tree, image):
    """From the header of an x86 image (kernel Documentation/arch/x86/boot.rst, field kernel_version), "" in any other file."""
    with tree.open(image) as file:
        head = file.read(64 * 1024)
    if head[0x202:0x206] != b"HdrS":
        return ""
    start = struct.unpack_from("<H", head, 0x20E)[0] + 0x200
    words = head[start:start + 128].split(b"\0", 1)[0].decode("ascii", "replace").split()
    return words[0] if words else ""
