# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the machine's own GRUB menu lies, in the words of GRUB: a file system and a path in it.

The worker's GRUB goes on with that menu, so kernels, parameters and updates of the menu stay the machine's own. What another GRUB cannot
run is refused here: menus that are made at boot by a command of Red Hat's GRUB (blscfg), and paths that only SUSE's GRUB understands.
"""

import os
import re

from typing import NamedTuple, Tuple

from ...errors import MachineError, TargetError
from ...machine.bootloader import GRUB2_FILES, read_boot_entries, read_boot_loader
from ...machine.fstab import parse_fstab, split_spec
from ...machine.root import read_architecture
from .. import syscalls
from ..model import MountedRoot

CANNOT = "The machine cannot be converted to other firmware"
LOADERS = {"grub-legacy": "GRUB legacy", "systemd-boot": "systemd-boot", "extlinux": "extlinux"}
ARCHITECTURES = {"uefi": ("x86_64",), "bios": ("x86_64", "i686")}

_COMMAND = re.compile(r"^[ \t]*blscfg\b", re.MULTILINE)
_SUSE_PATHS = re.compile(r"^[ \t]*set[ \t]+btrfs_relative_path=", re.MULTILINE)
_UUID = re.compile(r"[0-9A-Fa-f][0-9A-Fa-f-]{7,35}\Z")
_PLAIN = re.compile(r"[A-Za-z0-9@/._+:-]+\Z")       # a path, or the name of a volume, that needs no quotes in a script of GRUB


class Place(NamedTuple):
    """A file, as GRUB finds it."""
    path: str                        # in the machine: /boot/grub/grub.cfg
    disk: str                        # name of the disk that holds it, "": a volume that may span disks
    partition: int                   # 0: none
    uuid: str                        # of its file system, "" where only `volume` names it
    volume: str                      # GRUB's name of a logical volume, "lvm/vg0-root"; "": a partition, or an array
    inside: str                      # path in its file system: /grub/grub.cfg


class Menu(NamedTuple):
    place: Place
    files: Tuple[Place, ...]         # kernels and initramfs that it starts


def find_menu(mounted: MountedRoot, tree, firmware: str) -> Menu:
    """The menu of a machine whose GRUB shall be replaced by one for `firmware`. TargetError where that cannot be done."""
    _check_architecture(tree, firmware)
    entries = read_boot_entries(tree)
    path = next((path for pattern in GRUB2_FILES for path in tree.glob(pattern) if any(entry.file == path for entry in entries)), "")
    configurations = [path for pattern in GRUB2_FILES for path in tree.glob(pattern) if tree.isfile(path)]
    for each in [path] if path else configurations:
        _check_commands(tree, each)
    if not path:
        loader = LOADERS.get(read_boot_loader(tree), "")
        raise TargetError(
            f"{CANNOT}: it has no menu of GRUB 2 with a Linux in it"
            + (f", but boots by {loader}." if loader else ".") + " Choose a target with the firmware that it is made for."
        )
    files = [name for entry in entries if entry.file == path for name in (entry.kernel,) + entry.initrds if tree.isfile(name)]
    return Menu(_place(mounted, tree, path), tuple(_place(mounted, tree, name) for name in dict.fromkeys(files)))


def _check_architecture(tree, firmware):
    try:
        architecture = read_architecture(tree)
    except MachineError as error:
        raise TargetError(f"{CANNOT}: {error}") from error
    if architecture not in ARCHITECTURES[firmware]:
        raise TargetError(f"{CANNOT}: {firmware.upper()} is done for {' and '.join(ARCHITECTURES[firmware])} only, and this machine is "
                          f"{architecture}.")


def _check_commands(tree, path):
    text = tree.read_text(path)
    if _COMMAND.search(text):
        raise TargetError(
            f"{CANNOT}: {path} leaves its menu to blscfg, a command that only Red Hat's GRUB has. "
            "Set GRUB_ENABLE_BLSCFG=false in /etc/default/grub on the source, run grub2-mkconfig there and capture it again."
        )
    if _SUSE_PATHS.search(text):
        raise TargetError(
            f"{CANNOT}: {path} counts paths from a subvolume of btrfs, as only SUSE's GRUB does. "
            "Choose a target with the firmware that it is made for."
        )


def _place(mounted, tree, path):
    resolved = tree.resolve(path)
    found = max((each for each in mounted.mounts if syscalls.is_below(resolved, each.path)), key=lambda each: len(each.path))
    inside = "/" + os.path.relpath(resolved, found.path)
    if found.type == "btrfs":
        inside = _of_subvolume(mounted.root + found.path.rstrip("/"), found) + inside
    disk = next((disk for disk in mounted.disks if disk.name == found.device), None)
    if disk is None:
        place = Place(path, "", 0, _uuid_in_fstab(tree, found.path), _volume(found.device), inside)
    else:
        parts = [part for part in disk.partitions if part.number == found.partition]
        place = Place(path, disk.name, found.partition, (parts[0].content if parts else disk.content).uuid, "", inside)
    if not _PLAIN.match(inside) or not (_UUID.match(place.uuid) or place.volume):
        raise TargetError(f"{CANNOT}: nothing tells a GRUB of the worker how to find {path} on "
                          f"{found.device}.")
    return place


def _of_subvolume(folder, found):
    """The subvolume of btrfs that is mounted, as a path from the top level, from which GRUB counts."""
    entry = syscalls.mount_at(folder)
    if entry is None or entry.type != "btrfs":
        raise TargetError(f"{CANNOT}: nothing tells which subvolume of {found.device} is mounted.")
    return entry.root.rstrip("/")


def _uuid_in_fstab(tree, path):
    try:
        mounts = parse_fstab(tree.read_text("/etc/fstab"))
    except MachineError:
        return ""
    for mount in mounts:
        tag, value = split_spec(mount.spec)
        if tag == "UUID" and (mount.path.rstrip("/") or "/") == path and _UUID.match(value):
            return value
    return ""


def _volume(device):
    """"lvm/vg0-root" for "/dev/vg0/root": GRUB doubles hyphens of names, as device mapper does."""
    parts = device.split("/")
    if len(parts) != 4 or parts[2] in ("mapper", "md") or not _PLAIN.match(device):
        return ""
    return "lvm/" + "-".join(part.replace("-", "--") for part in parts[2:])
