# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says which unified kernel images cannot boot on the target because the command line built into them names an old disk. They are EFI
programs that hold kernel, initramfs and command line in one, mostly signed: nothing can be changed without breaking the signature. Whether
they hold the target's drivers is told by initramfs.py."""

from typing import List

from ...errors import MachineError
from ...machine.unified_kernel import read_command_line
from ..draft import Draft
from ..situation import Situation
from . import commandline
from .disk_names import ARGUMENTS
from .names import read_names

NAME = "unified_kernels"

ADVICE = "install a kernel with an initramfs of its own beside it on the source, and capture it again."


def plan(situation: Situation, draft: Draft) -> None:
    names = read_names(situation.disks)
    for path in [kernel.image for kernel in situation.kernels if kernel.unified]:
        try:
            line = read_command_line(situation.tree, path) or ""
        except MachineError:
            continue                         # initramfs.py says it
        bound = [spec for argument in ARGUMENTS for spec in commandline.arguments(line, argument) if names.is_bound(spec)]
        if bound:
            draft.find(
                "error",
                f"{path} is a unified kernel image with {bound[0]}, a name of the old hardware, on its built-in command line, which "
                f"cannot be changed: {ADVICE}",
            )


def verify(_situation: Situation) -> List[str]:
    """Nothing was changed."""
    return []
