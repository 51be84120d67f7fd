# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drivers that the machine's own root file system needs, whatever the hardware: its file system, and what lies below it.

The initramfs that the machine booted with has them; another one of its boot menu, such as that of a kernel which was installed and never
started, may have been built while the root lay elsewhere. Module names: kernel fs/*, drivers/md, crypto. Soft dependencies (the
checksums of ext4, xfs, btrfs) come by the kernel's own modules.softdep.
"""

from typing import Tuple

from ...machine.fstab import split_spec
from ..situation import BootKernel, Situation
from . import overlay
from .names import read_names

FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "jfs", "reiserfs", "f2fs")
VOLUMES = ("dm_mod",)
# aes-xts-plain64 with sha256 is the default of cryptsetup(8); the generic forms serve processors without AES instructions.
ENCRYPTION = ("dm_crypt", "aes_generic", "xts", "cbc", "ecb", "sha256_generic", "sha512_generic", "algif_skcipher")
ARRAYS = ("raid0", "raid1", "raid10", "raid456")


def drivers(situation: Situation, kernel: BootKernel) -> Tuple[str, ...]:
    """Names of modules; those that are built into the kernel are named too."""
    names = read_names(situation.disks)
    contents = [content.kind for disk in situation.disks for content in [disk.content] + [part.content for part in disk.partitions]]
    found = []
    for mount in situation.mounts:
        if mount.path not in ("/", "/usr"):
            continue
        kinds = [kind for kind in contents if kind in FILE_SYSTEMS] if mount.type == "auto" else mount.type.split(",")
        found.extend(kind for kind in kinds if kind in FILE_SYSTEMS)
        tag, value = split_spec(mount.spec)
        if names.find(mount.spec) is not None or tag and names.has(tag, value):
            continue                              # right on a partition
        if "lvm2" in contents:
            found.extend(VOLUMES)
        if "luks" in contents:
            found.extend(ENCRYPTION)
        # The level is not known here: what an array of this machine needs is what its initramfs has, unless it has none at all.
        held = overlay.held(kernel)
        if "md" in contents and not any(level in held or kernel.modules.state(level) == "builtin" for level in ARRAYS):
            found.extend(ARRAYS)
    return tuple(dict.fromkeys(found))
