# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""A boot loader at the path where UEFI firmware looks when nobody told it another: \EFI\BOOT\BOOTX64.EFI.

Distributions install \EFI\debian\shimx64.efi and tell the firmware so by a variable in NVRAM. Variables do not travel with the disks:
on the target the firmware finds nothing and stops in its shell. The fallback path is the same for all (UEFI specification 2.10, section
3.5.1.1, table of file names by architecture), so the machine's own loader is copied there: with shim comes the GRUB that shim starts
from its own folder, with GRUB the grub.cfg that it looks for, as its built-in prefix says. A fallback loader that works stays.

shim started from \EFI\BOOT starts fbx64.efi if that lies there too, which reads \EFI\*\BOOTX64.CSV and makes the variables anew
(shim README.fallback): that is what RHEL has, and it works.
"""

from typing import List, NamedTuple

from ...errors import MachineError
from ...machine import esp
from ...machine.bootloader import read_boot_loader
from ...machine.efi_loader import EfiLoader, read_efi_loader
from ...machine.firmware import EFI_SYSTEM, added_system_partition
from ...machine.osrelease import read_os_release
from ...machine.root import read_architecture
from ..draft import Draft
from ..situation import Situation

NAME = "uefi_fallback"

# uname -m -> endings of file names, the usual one first: a 64-bit machine may have a 32-bit UEFI.
SUFFIXES = {
    "x86_64": ("x64", "ia32"),
    "i686": ("ia32",),
    "aarch64": ("aa64",),
    "armv7l": ("arm",),
    "riscv64": ("riscv64",),
    "loongarch64": ("loongarch64",),
}
NO_VENDORS = ("boot", "microsoft", "linux", "tools")   # folders of other things than a distribution's loader
# Folders that are not called as the system calls itself in os-release.
VENDORS = {"rhel": "redhat", "ol": "redhat", "opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse"}
REASON = "the target's UEFI firmware knows no boot entries and looks for a loader here only"


class Chain(NamedTuple):
    """A loader of the machine, with what it starts."""
    folder: str                            # where it lies
    first: str                             # path of what the firmware starts
    second: str                            # path of the GRUB that a shim starts, "": none
    others: tuple = ()                     # paths of helpers that lie beside: MOK manager


def plan(situation: Situation, draft: Draft) -> None:
    if "uefi" not in situation.firmware:
        return
    partitions = esp.system_partitions(situation.tree, situation.mounts)
    has_partition = any(partition.type in EFI_SYSTEM for disk in situation.disks for partition in disk.partitions)
    if not partitions and has_partition and not added_system_partition(situation.disks):
        draft.find(
            "warning",
            "The disks have an EFI system partition, which is not mounted in the recovery image, so nobody knows whether UEFI firmware "
            "finds a loader on it. Mount it at /boot/efi by the machine's /etc/fstab.",
        )
    for partition in partitions:
        for suffix in _suffixes(situation.tree):
            _plan_fallback(situation, draft, partition, suffix)


def verify(situation: Situation) -> List[str]:
    draft = Draft(situation.tree)
    plan(situation, draft)
    return [f"{change.path} is missing, without which UEFI firmware does not start the machine." for change in draft.changes]


def _suffixes(tree):
    try:
        return SUFFIXES.get(read_architecture(tree), ())
    except MachineError:
        return SUFFIXES["x86_64"] + SUFFIXES["aarch64"]


def _plan_fallback(situation, draft, partition, suffix):
    copies = _wanted_copies(situation, draft, partition, suffix)
    contents = {target: draft.read(source) for source, target in copies.items()}
    if None in contents.values():
        return                               # what cannot be read was reported by read
    need = sum(esp.on_fat(len(content)) for content in contents.values())
    size = _size(situation.disks)
    if need and size and esp.used_bytes(situation.tree, partition) + need > size:
        draft.find(
            "error",
            f"The EFI system partition at {partition} has no room for a loader at {', '.join(contents)}, {need >> 10} KiB, without which "
            "UEFI firmware of the target does not start the machine. Remove what is not needed there on the source, and capture it again.",
        )
        return
    for source, target in copies.items():
        draft.write(target, contents[target], f"{REASON}; copied from {source}", 0o755)


def _size(disks):
    """Bytes of the EFI system partition, 0 where there are several or none. Its free room cannot be asked for: what is mounted may be a
    copy of it in a larger file system."""
    sizes = [partition.content.size or partition.size for disk in disks for partition in disk.partitions if partition.type in EFI_SYSTEM]
    return sizes[0] if len(sizes) == 1 else 0


def _wanted_copies(situation, draft, partition, suffix):
    """source -> target of what is missing in EFI/BOOT."""
    tree = situation.tree
    name = f"EFI/BOOT/BOOT{suffix.upper()}.EFI"
    chain = _chain(situation, draft, partition, suffix)
    there = esp.find(tree, partition, name)
    if there:
        loader = _loader(draft, there)
        if loader.kind == "shim" and not _shim_goes_on(tree, partition, suffix, loader):
            return _second_stage(draft, tree, partition, chain, there)
        if loader.kind == "grub":
            return _menu(draft, tree, partition, loader, chain, there)
        if not loader.kind and chain is not None and _is_microsofts(draft, tree, partition, there):
            draft.find(
                "warning", f"{there} starts Windows, and so will a target's firmware. To start Linux there, replace it by {chain.first}."
            )
        return {}
    if chain is None:
        return {}
    copies = {chain.first: esp.place_for(tree, partition, name)}
    for path in (chain.second,) + chain.others:
        beside = "EFI/BOOT/" + path.rpartition("/")[2]
        if path and not esp.find(tree, partition, beside):
            copies[path] = esp.place_for(tree, partition, beside)
    loader = _loader(draft, chain.second or chain.first)
    copies.update(_menu(draft, tree, partition, loader, chain, copies[chain.first]))
    legacy = esp.find(tree, chain.folder, "grub.conf")
    if legacy and not loader.kind:           # see GRUB_LEGACY_FILES
        copies[legacy] = esp.place_for(tree, partition, f"EFI/BOOT/BOOT{suffix.upper()}.conf")
    return copies


def _loader(draft, path) -> EfiLoader:
    data = draft.read(path)
    return read_efi_loader(data or b"")


def _chain(situation, draft, partition, suffix):
    """The loader that the machine itself uses; None when there is none for this architecture."""
    tree = situation.tree
    root = esp.find(tree, partition, "EFI")
    found = []
    for folder in tree.listdir(root):
        place = f"{root}/{folder}"
        if folder.lower() not in NO_VENDORS and tree.isdir(place):
            chain = _chain_in(draft, tree, place, suffix)
            if chain is not None:
                found.append((_rank(tree, folder), folder, chain))
    if not found:
        return None
    found.sort(key=lambda each: each[:2])
    best = [folder for rank, folder, _chain_of_it in found if rank == found[0][0]]
    if len(best) > 1 and not esp.find(tree, partition, f"EFI/BOOT/BOOT{suffix.upper()}.EFI"):
        draft.find(
            "warning",
            f"{root} holds the loaders of {', '.join(best)}, and nothing tells which one the machine used; that of {best[0]} is started "
            f"on the target. If it is the wrong one, copy the other over {root}/BOOT.",
        )
    return found[0][2]


def _chain_in(draft, tree, folder, suffix):
    def path(*names):
        return next((place for place in (esp.find(tree, folder, name) for name in names) if place and tree.isfile(place)), "")

    plain = suffix in ("x64", "aa64")                        # SUSE leaves the ending out
    shim = path(f"shim{suffix}.efi", *(["shim.efi"] if plain else []))
    grub = path(f"grub{suffix}.efi", *(["grub.efi"] if plain else []))
    if shim and plain:
        stages = _loader(draft, shim).second_stages
        grub = path(*stages) or grub
    if shim and grub:
        manager = path(f"mm{suffix}.efi", "MokManager.efi")
        return Chain(folder, shim, grub, (manager,) if manager else ())
    first = grub or path(f"systemd-boot{suffix}.efi")
    return Chain(folder, first, "") if first else None


def _rank(tree, folder):
    """Smaller is likelier."""
    folder = folder.lower()
    if folder == "systemd":
        return 0 if read_boot_loader(tree) == "systemd-boot" else 3
    try:
        system = read_os_release(tree)
    except MachineError:
        return 2
    if folder in (system.id, VENDORS.get(system.id, "")):
        return 0
    return 1 if folder in system.like or folder in [VENDORS.get(name) for name in system.like] else 2


def _shim_goes_on(tree, partition, suffix, shim):
    """Whether a shim in EFI/BOOT finds what to start."""
    if any(esp.find(tree, partition, "EFI/BOOT/" + name) for name in shim.second_stages):
        return True
    root = esp.find(tree, partition, "EFI")
    has_fallback = any(esp.find(tree, root, "BOOT/" + name) for name in (f"fb{suffix}.efi", "fallback.efi"))
    return has_fallback and any(
        esp.find(tree, f"{root}/{folder}", name)
        for folder in tree.listdir(root) for name in (f"BOOT{suffix}.CSV", "BOOT.CSV")
    )


def _second_stage(draft, tree, partition, chain, there):
    if chain is None or not chain.second:
        draft.find(
            "error",
            f"{there} is a shim, and the GRUB that it starts is missing beside it and everywhere else on {partition}. "
            "UEFI firmware of the target does not start this machine: install its boot loader anew on the source and capture it again.",
        )
        return {}
    copies = {chain.second: esp.place_for(tree, partition, "EFI/BOOT/" + chain.second.rpartition("/")[2])}
    copies.update(_menu(draft, tree, partition, _loader(draft, chain.second), chain, there))
    return copies


def _menu(draft, tree, partition, grub, chain, program):
    """The grub.cfg that a GRUB in EFI/BOOT looks for, where it is missing."""
    wanted = grub.config_folder
    if not wanted:
        return {}
    folder = "EFI/BOOT" if wanted == "." else wanted.strip("/")
    if any(esp.find(tree, partition, f"{folder}/{name}") for name in ("grub.cfg", "x86_64-efi/grub.cfg")):
        return {}
    source = esp.find(tree, chain.folder, "grub.cfg") if chain is not None else ""
    if source:
        return {source: esp.place_for(tree, partition, folder + "/grub.cfg")}
    draft.find(
        "warning",
        f"{program} leads to a GRUB that looks for its menu in {partition}/{folder}/grub.cfg, which does not exist. "
        "It will stop at its prompt: run grub-install and grub-mkconfig on the source and capture it again.",
    )
    return {}


def _is_microsofts(draft, tree, partition, path):
    own = esp.find(tree, partition, "EFI/Microsoft/Boot/bootmgfw.efi")
    return bool(own) and draft.read(own) == draft.read(path)
