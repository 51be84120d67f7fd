# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EFI system partitions in a root: where they are mounted, and names on them.

They hold FAT, to which "EFI/BOOT/BOOTX64.EFI" and "efi/boot/bootx64.efi" are one name. The kernel's driver knows that, a copy of the
file system in a folder does not; so names are compared here, and what exists is called as it is.
"""

from typing import Sequence, Tuple

from .bootloader import BOOT_FOLDERS
from .model import Mount

FAT_TYPES = ("vfat", "msdos", "auto")
CLUSTER = 32 * 1024        # bytes; the largest that all firmware reads (Microsoft FAT specification 1.03, BPB_SecPerClus)


def system_partitions(tree, mounts: Sequence[Mount]) -> Tuple[str, ...]:
    """Mount points of the EFI system partitions that can be looked at, free of links, each once.

    fstab(5) says where they are; systemd mounts them without it too (systemd-gpt-auto-generator(8)), at /efi or /boot.
    """
    points = [mount.path.rstrip("/") for mount in mounts]
    # "/boot/efi" may be a mount point, and is then not the folder "EFI" of a system partition at /boot.
    found = []
    for mount in mounts:
        folder = find(tree, mount.path, "EFI") if mount.type in FAT_TYPES and mount.path.strip("/") else ""
        if folder and folder not in points and tree.isdir(folder):
            found.append(mount.path.rstrip("/"))
    if not found:
        found = [folder for folder in BOOT_FOLDERS if tree.glob(folder + "/[Ee][Ff][Ii]/*/*.[Ee][Ff][Ii]")]
    return tuple(dict.fromkeys(tree.resolve(folder) for folder in found))


def find(tree, base: str, path: str) -> str:
    """The path of the file or folder `path` ("EFI/BOOT/grub.cfg") below the folder `base`, as its names are written there; "" if it is
    not there."""
    place = base.rstrip("/")
    for part in path.strip("/").split("/"):
        name = _name(tree, place, part)
        if not name:
            return ""
        place = f"{place}/{name}"
    return place


def place_for(tree, base: str, path: str) -> str:
    """The same for something that is to be written: what is missing on the way is called as `path` calls it."""
    place, parts = base.rstrip("/"), path.strip("/").split("/")
    while parts:
        name = _name(tree, place, parts[0])
        if not name:
            break
        place = f"{place}/{name}"
        parts.pop(0)
    return "/".join([place] + parts)


def used_bytes(tree, base: str) -> int:
    """Room that the files and folders below `base` take on FAT at most, that is, with its largest clusters."""
    total, folders = 0, [base.rstrip("/")]
    while folders:
        folder = folders.pop()
        total += CLUSTER
        for name in tree.listdir(folder):
            path = f"{folder}/{name}"
            if tree.isfile(path):
                total += on_fat(tree.stat(path).st_size)
            elif tree.isdir(path) and not tree.islink(path):
                folders.append(path)
    return total


def on_fat(size: int) -> int:
    """Room that a file of `size` bytes takes at most."""
    return (size + CLUSTER - 1) // CLUSTER * CLUSTER


def _name(tree, folder, wanted):
    if not tree.isdir(folder or "/"):
        return ""
    for name in tree.listdir(folder or "/"):
        if name.lower() == wanted.lower():
            return name
    return ""
