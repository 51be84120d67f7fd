# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says which unified kernel images a machine has, and which cannot boot on the target: EFI programs that hold kernel, initramfs and
command line in one, mostly signed. Nothing can be added to them without breaking the signature; they boot on the target only if they hold
its disk drivers already and name no old disk."""

from typing import List

from ...errors import MachineError
from ...machine import esp
from ...machine.unified_kernel import read_command_line
from ..draft import Draft
from ..situation import Situation
from . import commandline
from .disk_names import ARGUMENTS
from .names import read_names

NAME = "unified_kernels"

ADVICE = "install a kernel with an initramfs of its own beside it on the source, and capture it again."


def plan(situation: Situation, draft: Draft) -> None:
    tree = situation.tree
    names = read_names(situation.disks)
    for partition in esp.system_partitions(tree, situation.mounts):
        folder = esp.find(tree, partition, "EFI/Linux")
        for name in tree.listdir(folder) if folder and tree.isdir(folder) else ():
            path = f"{folder}/{name}"
            try:
                line = read_command_line(tree, path) if name.lower().endswith(".efi") else None
            except MachineError as error:
                draft.find("warning", str(error))
                continue
            if line is None:
                continue
            bound = [spec for argument in ARGUMENTS for spec in commandline.arguments(line, argument) if names.is_bound(spec)]
            if bound:
                draft.find(
                    "error",
                    f"{path} is a unified kernel image with {bound[0]}, a name of the old hardware, on its built-in command line, which "
                    f"cannot be changed: {ADVICE}",
                )
                continue
            draft.find(
                "warning",
                f"{path} is a unified kernel image and is left as it is: whether it holds the drivers of {situation.profile.name} is not "
                f"known. If it does not boot, {ADVICE}",
            )


def verify(_situation: Situation) -> List[str]:
    """Nothing was changed."""
    return []
