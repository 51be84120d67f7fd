# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the target's firmware can start this machine at all: a disk made for UEFI holds nothing that BIOS runs, and the reverse.

Nothing is changed: what is missing is boot code in sectors outside the file systems. It is said here, before somebody waits for a black
screen.
"""

from typing import List

from ...errors import MachineError
from ...machine.firmware import read_firmware
from ...machine.root import read_architecture
from ..draft import Draft
from ..situation import Situation

NAME = "firmware"

NAMES = {"bios": "BIOS", "uefi": "UEFI"}
# What the machine needs to be startable by the other firmware as well, done while it runs.
ADVICE = {
    "bios": "Give the guest BIOS firmware, or choose a target that has it; or give the source an EFI system partition with a loader "
            "(grub-install --target=x86_64-efi --removable) and capture it again.",
    "uefi": "Give the guest UEFI firmware, or choose a target that has it; or give the source a BIOS boot partition and "
            "grub-install --target=i386-pc, and capture it again.",
}


def plan(situation: Situation, draft: Draft) -> None:
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


def _boots_by_these(tree):
    """Whether machines of this architecture start by BIOS or UEFI: others have firmware of their own."""
    try:
        return read_architecture(tree) in ("x86_64", "i686", "aarch64")
    except MachineError:
        return False


def verify(_situation: Situation) -> List[str]:
    """What is wrong here was said by `plan`, and stays."""
    return []
