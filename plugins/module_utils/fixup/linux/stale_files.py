# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that only remember the old disks: each is made again by its own tool when it is needed, and leads that tool astray until then."""

from typing import List

from ..draft import Draft
from ..situation import Situation

NAME = "stale_files"

STALE = (
    ("/boot/grub/device.map", "it maps GRUB's disk numbers to the old disks; GRUB 2 finds disks without it"),
    ("/boot/grub2/device.map", "it maps GRUB's disk numbers to the old disks; GRUB 2 finds disks without it"),
    ("/etc/blkid.tab", "libblkid's cache of the old disks"),
    ("/etc/blkid/blkid.tab", "libblkid's cache of the old disks"),
    ("/etc/lvm/cache/.cache", "LVM's cache of the old disks"),
)
GRUB_LEGACY = ("/boot/grub/stage2", "/boot/grub/stage1")     # it needs its device.map


def plan(situation: Situation, draft: Draft) -> None:
    legacy = any(situation.tree.isfile(path) for path in GRUB_LEGACY)
    for path, reason in STALE:
        if path.endswith("device.map") and legacy:
            continue
        if situation.tree.isfile(path):
            draft.remove(path, reason)


def verify(situation: Situation) -> List[str]:
    draft = Draft(situation.tree)
    plan(situation, draft)
    return [f"{change.path} is still there." for change in draft.changes]
