# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""For which firmware a machine's disks and boot loader are made."""

from . import partition_edit
from .bootloader import BOOT_FOLDERS

# Volume label of the EFI system partitions that a conversion adds (recovery/conversion): the machine itself does not know them.
ADDED_LABEL = "DR-GRUB-EFI"
EFI_SYSTEM = (partition_edit.EFI_SYSTEM, f"0x{partition_edit.EFI_SYSTEM_IN_MBR:02x}")     # types of partitions, in a GPT and an MBR
NAMES = {"bios": "BIOS", "uefi": "UEFI"}
BIOS_LOADER_FILES = ("/boot/grub/i386-pc/*.mod", "/boot/grub2/i386-pc/*.mod", "/boot/grub/stage2", "/boot/extlinux/ldlinux.sys",
                     "/boot/syslinux/ldlinux.sys", "/boot/ldlinux.sys", "/extlinux/ldlinux.sys", "/etc/lilo.conf")


def added_system_partition(disks) -> bool:
    """Whether the disks start by UEFI with the help of an added EFI system partition."""
    return any(part.type in EFI_SYSTEM and part.content.label == ADDED_LABEL for disk in disks for part in disk.partitions)


def read_firmware(tree, disks=()):
    """"bios", "uefi", "both", or "" if neither disks nor files show a loader.

    UEFI needs an EFI system partition, and a loader on it where it can be looked at. BIOS needs code in the first sector;
    partitioning tools leave such code too, so on a disk that also boots by UEFI it counts only together with BIOS loader files, or where a
    conversion has put it.
    """
    efi_files = any(tree.glob(f"{folder}/[Ee][Ff][Ii]/*/*.[Ee][Ff][Ii]") for folder in BOOT_FOLDERS)
    bios_files = any(tree.glob(pattern) for pattern in BIOS_LOADER_FILES)
    if not disks:
        uefi, bios = efi_files, bios_files
    else:
        has_partition = any(partition.type in EFI_SYSTEM for disk in disks for partition in disk.partitions)
        is_visible = any(tree.isdir(f"{folder}/{name}") for folder in BOOT_FOLDERS for name in ("EFI", "efi"))
        uefi = has_partition and (efi_files or not is_visible)
        bios = any(disk.boot_code for disk in disks) and (bios_files or not uefi) or any(disk.added_loader for disk in disks)
    if uefi and bios:
        return "both"
    return "uefi" if uefi else "bios" if bios else ""
