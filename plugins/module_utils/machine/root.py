# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine model of a mounted root file system and its disks.

Nothing in here is necessary for a capture, and a root may be anything: what cannot be read becomes a warning, a sentence for
the operator, never a failure.
"""

import struct

from ..errors import MachineError
from .bootloader import read_boot_entries, read_boot_loader
from .firmware import read_firmware
from .fstab import parse_fstab, split_spec
from .kernels import read_kernels
from .model import Machine, OsRelease
from .network.nics import read_nics
from .osrelease import read_hostname, read_os_release

# e_machine of elf.h; the byte order tells ppc64 from ppc64le.
ELF_MACHINES = {3: "i686", 21: "ppc64", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64"}
ELF_FILES = ("/bin/sh", "/sbin/init", "/usr/bin/sh", "/usr/sbin/init", "/usr/lib/systemd/systemd", "/bin/busybox", "/bin/ls")

MAX_WARNINGS = 200    # a root that gives more is no machine, and nobody reads them

# What lies between a partition and its file systems, and is not looked into.
LAYERS = {
    "lvm2": "an LVM physical volume",
    "md": "a member of a Linux software RAID",
    "luks": "encrypted (LUKS)",
    "bitlocker": "encrypted (BitLocker)",
    "zfs": "a member of a ZFS pool",
}


def read_machine(tree, name, disks=()):
    """The `Machine` called `name` whose root is `tree`; `disks` are its `Disk` values, if they are known."""
    warnings = []
    warn = warnings.append

    def attempt(what, read, default):
        # A root of unknown making can break any reader in ways that nobody thought of; the others must still be heard.
        try:
            return read()
        except MachineError as error:
            warn(str(error))
        except Exception as error:
            warn(f"{what} cannot be read ({type(error).__name__}: {error}).")
        return default

    entries = attempt("The boot loader's menu", lambda: read_boot_entries(tree, warn), ())
    machine = Machine(
        name=name,
        hostname=attempt("The host name", lambda: read_hostname(tree), ""),
        architecture=attempt("The CPU architecture", lambda: read_architecture(tree), ""),
        firmware=attempt("The kind of firmware", lambda: read_firmware(tree, disks), ""),
        os=attempt("The operating system's release", lambda: read_os_release(tree), OsRelease()),
        boot_loader=attempt("The kind of boot loader", lambda: read_boot_loader(tree), ""),
        disks=tuple(disks),
        mounts=attempt("/etc/fstab", lambda: read_mounts(tree), ()),
        kernels=attempt("The list of kernels", lambda: read_kernels(tree, entries, warn), ()),
        nics=attempt("The network configuration", lambda: read_nics(tree, warn), ()),
    )
    for text in _findings(machine):
        warn(text)
    warnings = list(dict.fromkeys(warnings))
    if len(warnings) > MAX_WARNINGS:
        warnings[MAX_WARNINGS:] = [f"There are {len(warnings) - MAX_WARNINGS} more warnings."]
    return machine._replace(warnings=tuple(warnings))


def read_mounts(tree):
    """The entries of /etc/fstab. Raises `MachineError` if there is none."""
    return parse_fstab(tree.read_text("/etc/fstab"))


def read_architecture(tree):
    """As uname -m would say it, told by the ELF header of a program that every root has. Raises `MachineError` if there is none."""
    for path in ELF_FILES:
        if not tree.isfile(path):
            continue
        with tree.open(path) as file:
            head = file.read(20)
        if len(head) < 20 or head[:4] != b"\x7fELF":
            continue
        order = "<" if head[5] == 1 else ">"
        machine = ELF_MACHINES.get(struct.unpack_from(order + "H", head, 18)[0], "")
        if machine:
            return machine + "le" if machine == "ppc64" and order == "<" else machine
    raise MachineError(f"The root file system at {tree.root} holds no program that tells its CPU architecture.")


def _findings(machine):
    """What an operator should know before this machine has to be recovered."""
    if not machine.kernels:
        yield "No kernel was found, so this root cannot boot by itself."
    for kernel in machine.kernels:
        if not kernel.initramfs:
            yield f"Kernel {kernel.version} ({kernel.image}) has no initramfs; it can only use disk drivers that are built into it."
        elif kernel.initramfs == kernel.image:
            yield (
                f"Kernel {kernel.version} comes with its initramfs in one file ({kernel.image}), to which a recovery cannot add drivers. "
                "Build it with those of the platforms where it may have to run, or keep a boot entry with an initramfs file of its own."
            )
    if not machine.boot_loader:
        yield "No known boot loader was found (GRUB, systemd-boot, extlinux)."
    if machine.disks and not machine.firmware:
        yield "Neither boot code for BIOS nor an EFI system partition was found on the disks."
    for disk in machine.disks:
        for note in disk.notes:
            yield f"Disk {disk.name}: {note}"
        for place, content in _contents(disk):
            if content.kind in LAYERS:
                yield f"{place} is {LAYERS[content.kind]}; what is inside is captured, but not looked into."
            if content.note:
                yield f"{place}: {content.note}"
    if machine.disks:
        yield from _unknown_mounts(machine)


def _contents(disk):
    if disk.table == "none":
        yield f"Disk {disk.name}", disk.content
    for partition in disk.partitions:
        yield f"Partition {partition.number} of disk {disk.name}", partition.content


def _unknown_mounts(machine):
    """Entries of fstab whose file system is on none of the disks, where that can be told."""
    if any(content.kind in LAYERS for disk in machine.disks for _place, content in _contents(disk)):
        return
    known = {"UUID": set(), "LABEL": set(), "PARTUUID": set(), "PARTLABEL": set()}
    for disk in machine.disks:
        for _place, content in _contents(disk):
            known["UUID"].add(content.uuid.lower())
            known["LABEL"].add(content.label)
        for partition in disk.partitions:
            known["PARTUUID"].add(partition.uuid)
            known["PARTLABEL"].add(partition.name)
    for mount in machine.mounts:
        tag, value = split_spec(mount.spec)
        if tag in ("UUID", "PARTUUID"):
            value = value.lower()
        if tag in known and value not in known[tag]:
            yield f"/etc/fstab names {mount.spec} for {mount.path}, which is on none of the machine's disks."
