# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine model of disks: the root of those not in use is mounted read-only for a moment and read, a running one is read as it is.

What cannot be read is a warning in the model, never the end of a capture: the image is as good without it.
"""

import hashlib
import os

from ..errors import RecoveryError
from ..machine.model import CONTAINERS, Machine
from ..machine.root import read_machine
from ..machine.tree import Tree
from ..recovery.model import RestoredDisk
from ..recovery.mount import mounted_machine
from .recoverability import running_root

_FOLDER = "/run/agnostic.recovery/inspect"


def inspect_machine(name, sources, disks):
    """The Machine on these disks. `sources` have name, path and sector_size; `disks` are their layouts, in the same order."""
    bare = Machine(name=name, disks=tuple(disks))
    kinds = {content.kind for disk in disks for content in [disk.content] + [part.content for part in disk.partitions]}
    hidden = sorted(kinds & set(CONTAINERS))
    if os.geteuid():
        return _without_root(bare, "that needs root")
    if hidden:
        # The appliance that could open them would run for a minute and more; recovery can afford that, a capture cannot.
        return _without_root(bare, "it may lie in {0}, which is opened at recovery only".format(", ".join(hidden)))
    restored = [RestoredDisk(source.name, source.path, source.sector_size) for source in sources]
    try:
        with mounted_machine(restored, _mount_point(sources), read_only=True) as mounted:
            return read_machine(Tree(mounted.root), name, tuple(disks))
    except (RecoveryError, OSError) as error:
        return _without_root(bare, str(error))


def inspect_running_machine(name, disks, filesystems):
    """The Machine that runs here, if its root file system is one of `filesystems`, those on the captured disks."""
    tree = running_root(filesystems)
    if tree is None:
        return _without_root(Machine(name=name, disks=tuple(disks)), "the root file system of this host is not on the captured disks")
    return read_machine(tree, name, tuple(disks))


def _mount_point(sources):
    """The same for the same disks, so that the next capture finds and removes what a killed one has left."""
    paths = "\0".join(os.path.realpath(source.path) for source in sources)
    os.makedirs(_FOLDER, mode=0o700, exist_ok=True)
    return os.path.join(_FOLDER, hashlib.sha256(paths.encode("utf-8", "surrogateescape")).hexdigest()[:16])


def _without_root(machine, why):
    return machine._replace(warnings=("The machine's root file system was not read at capture: {0}".format(why),))
