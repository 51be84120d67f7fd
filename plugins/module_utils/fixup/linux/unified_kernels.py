# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says which unified kernel images a machine has: EFI programs that hold kernel, initramfs and command line in one, mostly signed
(UAPI unified kernel image specification). Nothing can be added to them without breaking the signature; they boot on the target only if
they hold its disk drivers already and name no old disk."""

from typing import List

from ...machine import esp
from ..draft import Draft
from ..situation import Situation

NAME = "unified_kernels"


def plan(situation: Situation, draft: Draft) -> None:
    tree = situation.tree
    for partition in esp.system_partitions(tree, situation.mounts):
        folder = esp.find(tree, partition, "EFI/Linux")
        for name in tree.listdir(folder) if folder and tree.isdir(folder) else ():
            if name.lower().endswith(".efi"):
                draft.find(
                    "warning",
                    f"{folder}/{name} is a unified kernel image and is left as it is: whether it holds the drivers of "
                    f"{situation.profile.name} and lasting names of disks is not known. If it does not boot, install a kernel with an "
                    "initramfs of its own beside it on the source, and capture it again.",
                )


def verify(_situation: Situation) -> List[str]:
    """Nothing was changed."""
    return []
