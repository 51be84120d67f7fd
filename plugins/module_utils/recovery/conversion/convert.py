# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets a machine that is made for BIOS start by UEFI, or the reverse, where its target offers the other firmware only.

The machine is mounted without a write to see where its menu lies, unmounted again, and then its boot disk gets a boot loader made of the
worker's GRUB. This comes before the fix-ups: they find the machine with its new firmware.
"""

import os
import stat

from typing import NamedTuple, Optional, Tuple

from ...errors import TargetError
from ...machine.firmware import EFI_SYSTEM, NAMES, read_firmware
from ...machine.tree import Tree
from ...target.profile import Profile
from ..layout import read_layouts, refuse_used
from ..model import RestoredDisk
from ..luks import LuksKey
from ..mount import mounted_machine
from ..state import STATE_FOLDER, State
from . import grub, journal, room
from .menu import find_menu


class Request(NamedTuple):
    """What is converted for what."""
    disks: Tuple[RestoredDisk, ...]
    mount_point: str                     # where the machine may be mounted for a look
    profile: Profile
    firmware: str = ""                   # that the guest gets; "": any that the profile offers
    backend: str = "auto"
    root: str = ""
    state_folder: str = STATE_FOLDER
    luks_keys: Tuple[LuksKey, ...] = ()


class Converted(NamedTuple):
    """How the disks are now, or with `only_plan` would be."""
    changed: bool
    firmware: str                        # that they were converted for, "": they start as they are
    steps: Tuple[str, ...]               # sentences for the operator
    disks: Tuple[RestoredDisk, ...]      # with their new sizes


def convert(request: Request, folder: str, only_plan: bool = False) -> Converted:
    """Converts the machine where it needs that. With `only_plan` nothing is written.

    `folder` keeps the journal. What a killed run has left is undone first, or with `only_plan` refused. Raises TargetError; then no disk is
    changed.
    """
    before = journal.read(folder) if journal.exists(folder) else None
    if before is not None and before["state"] != "applied":
        if only_plan:
            raise TargetError(f"A conversion was killed; its journal is in {folder}. Convert or undo first.")
        journal.undo(folder)
        before = None
    if before is not None and os.path.isfile(before["path"]) and os.path.getsize(before["path"]) == before["size_after"]:
        request = request._replace(disks=_resized(request.disks, before["path"], before["size_after"]))
    change = plan(request)
    if change is None:
        firmware, steps = (before["firmware"], tuple(before["steps"])) if before is not None else ("", ())
        return Converted(False, firmware, steps, request.disks)
    if not only_plan:
        state = State(request.mount_point, request.state_folder)
        with state.locked():
            refuse_used(request.disks, False, state)
            journal.apply(folder, change)
    return Converted(True, change.firmware, change.steps, _resized(request.disks, change.path, change.size_after))


def plan(request: Request) -> Optional[journal.DiskChange]:
    """What `convert` would write. Nothing is written. Raises TargetError where the machine cannot be converted."""
    offered = _offered(request.profile, request.firmware)
    if set(offered) == set(NAMES):
        return None                      # whatever the machine needs
    wanted = offered[0]
    disks = request.disks
    refuse_used(disks, False, State(request.mount_point, request.state_folder))
    with mounted_machine(disks, request.mount_point, request.backend, True, request.root, request.state_folder,
                         request.luks_keys) as mounted:
        tree = Tree(mounted.root)
        own = read_firmware(tree, mounted.disks)
        if own in (wanted, "both"):
            return None
        menu = find_menu(mounted, tree, wanted)
        grub.check_readable(menu, [(disk.name, disk.path, layout.table) for disk, layout in zip(disks, mounted.disks)], tree)
    return _plan_disk(request, menu, own, wanted)


def _resized(disks, path, size):
    """Where a disk was said to have a size, the new one is said."""
    place = os.path.realpath(path)
    return tuple(disk._replace(size=size) if disk.size and os.path.realpath(disk.path) == place else disk for disk in disks)


def _offered(profile, firmware):
    if firmware and firmware not in profile.firmware:
        there = " and ".join(NAMES[kind] for kind in profile.firmware)
        raise TargetError(f"{profile.name} has no {NAMES[firmware]} firmware, only {there}.")
    return (firmware,) if firmware else profile.firmware


def _plan_disk(request, menu, own, wanted):
    layouts = read_layouts(request.disks)
    index = _boot_disk(layouts, menu, own)
    disk, layout = request.disks[index], layouts[index]
    if layout.table == "none":
        raise TargetError(f"Disk {disk.name} ({disk.path}) has no partition table, so no boot loader can be added to it.")
    descriptor = os.open(disk.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        opened = room.Open(disk.name, disk.path, layout.size, layout.sector_size, layout,
                           lambda offset, length: os.pread(descriptor, length, offset), is_file)
        if wanted == "uefi":
            return room.plan_uefi(opened, grub.make_efi_program(menu), request.profile.gpt_only)
        return room.plan_bios(opened, grub.make_core(menu))
    except OSError as error:
        raise TargetError(f"Disk {disk.name} ({disk.path}) cannot be read: {error.strerror}.") from error
    finally:
        os.close(descriptor)


def _boot_disk(layouts, menu, own):
    """The index of the disk that the machine started from until now, else of the one with the menu, else of the first."""
    if own == "uefi":
        found = [index for index, disk in enumerate(layouts) if any(part.type in EFI_SYSTEM for part in disk.partitions)]
    else:
        found = [index for index, disk in enumerate(layouts) if disk.boot_code and disk.table != "none"]
    found += [index for index, disk in enumerate(layouts) if disk.name == menu.place.disk]
    return (found + [0])[0]
