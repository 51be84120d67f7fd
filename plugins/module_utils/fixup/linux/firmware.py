# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the target's firmware can start this machine at all: a disk made for UEFI holds nothing that BIOS runs, and the reverse.

Nothing is changed here: what is missing is boot code in sectors outside the file systems, and that takes a conversion before the disks are
mounted (recovery/conversion). It is said here, before somebody waits for a black screen. Only in the machine's menu there is something to
mend: where the conversion made a GPT out of an MBR, GRUB's own names of partitions, "hd0,msdos1", say what is no longer there.
"""

import re

from typing import List

from ...errors import MachineError
from ...machine.bootloader import GRUB2_FILES
from ...machine.firmware import NAMES, added_system_partition, read_firmware
from ...machine.root import read_architecture
from ..draft import Draft
from ..situation import Situation
from . import commandline

NAME = "firmware"

# What the machine needs to be startable by the other firmware as well, done while it runs.
CONVERT = "Convert the disks with the module recovery_convert before they are mounted"
ADVICE = {
    "bios": f"{CONVERT}; or give the guest BIOS firmware; or give the source an EFI system partition with a loader "
            "(grub-install --target=x86_64-efi --removable) and capture it again.",
    "uefi": f"{CONVERT}; or give the guest UEFI firmware; or give the source a BIOS boot partition and grub-install --target=i386-pc, "
            "and capture it again.",
}
NOT_UPDATED = (
    "Kernels and menu stay the machine's own, but its packages do not update this GRUB: install the distribution's GRUB for {} when the "
    "machine is to stay there."
)
# A partition as GRUB calls it: the driver's name of the disk, then the kind of table with the number (GRUB manual, "Device syntax").
_MBR_NAME = re.compile(r"(?P<disk>\b[a-z]+[0-9]+),msdos(?=[0-9]+\b)")
RENAMED = "GRUB's names of partitions say the kind of partition table, which is a GPT now"


def plan(situation: Situation, draft: Draft) -> None:
    _rename_partitions(situation, draft)
    if added_system_partition(situation.disks) and "uefi" in situation.firmware:
        draft.find(
            "warning",
            "UEFI starts this machine by an added EFI system partition with the worker's GRUB, which is not signed: switch Secure Boot off "
            f"for the guest. {NOT_UPDATED.format('UEFI')}",
        )
    if any(disk.added_loader for disk in situation.disks) and "bios" in situation.firmware:
        draft.find("info", f"BIOS starts this machine by the worker's GRUB. {NOT_UPDATED.format('BIOS')}")
    own = read_firmware(situation.tree, situation.disks)
    if not own and situation.disks and _boots_by_these(situation.tree):
        draft.find(
            "warning",
            "Nothing on the disks is known to start by BIOS or UEFI: neither boot code nor an EFI system partition. The machine may have "
            "been started by its hypervisor (Xen PV), over the network, or from a disk that was not recovered.",
        )
    if own not in NAMES:
        return                               # both, or nothing that can be seen
    if own not in situation.firmware:
        draft.find(
            "error",
            f"The disks are made for {NAMES[own]} only, and {situation.profile.name} starts the guest with "
            f"{' or '.join(NAMES[kind] for kind in situation.firmware)}: it will find nothing to boot. {ADVICE[own]}",
        )
    elif own == "uefi" and len(situation.firmware) > 1:
        draft.find("info", f"The disks are made for UEFI only, and {situation.profile.name} has BIOS too: the guest needs UEFI firmware.")


def _rename_partitions(situation, draft):
    if not situation.disks or any(disk.table != "gpt" for disk in situation.disks):
        return                               # with an MBR beside it nobody knows which disk is meant
    for path in commandline.unique(draft, GRUB2_FILES):
        text = draft.read_text(path)
        if text is not None:
            draft.write_text(path, _MBR_NAME.sub(r"\g<disk>,gpt", text), RENAMED)


def _boots_by_these(tree):
    """Whether machines of this architecture start by BIOS or UEFI: others have firmware of their own."""
    try:
        return read_architecture(tree) in ("x86_64", "i686", "aarch64")
    except MachineError:
        return False


def verify(_situation: Situation) -> List[str]:
    """What is wrong here was said by `plan`, and stays."""
    return []
