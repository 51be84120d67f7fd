# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FAT without the kernel's driver: mtools copies the file system into a tmpfs, and what changed back into it at unmount.

EFI system partitions are small, and what mtools write is sound: random changes on FAT12, FAT16 and FAT32 leave a file system that
fsck.fat calls clean and that holds every file. The FUSE file system for FAT, fusefat 0.1a, is not sound. In random trials of 15 changes on
a FAT32 made by mkfs.fat and mtools, one file in each trial was left without its clusters (fsck.fat: "Contains a free cluster ... cluster
chain length is 0 bytes") and could not be opened any more (EPERM), and one of three daemons hung at unmount; even where fsck.fat was content,
short names were "~1" and "~2" and the volume label showed as a file. So it is not used, not even for reading.

Names are compared as FAT does, without regard to case; a change of case alone is not written back. Attributes (hidden, system) of
a file whose content changed are lost. Nothing is written back unless the copy had been complete.

A stranger's FAT may hold long names such as ".." or "../../x". mtools leave the former out and replace the slashes of the latter.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from typing import NamedTuple

from ...errors import TargetError
from .. import processes, syscalls
from ..model import CannotMount

NAME = "mtools"
KINDS = ("vfat",)
_PATIENCE = 120.0           # seconds
_SPARE = 16 * 1024 * 1024   # bytes; a tmpfs rounds each file up to pages


class Node(NamedTuple):
    path: str           # relative, as spelled
    is_folder: bool
    digest: str


def mount_volume(session, volume, place, options, read_only):
    """Copies `volume` to a tmpfs mounted on the directory `place`. Raises CannotMount."""
    del options         # only btrfs has any
    if not shutil.which("mcopy"):
        raise CannotMount(f"{volume.label}: mtools is not installed on the worker (package mtools)")
    try:
        syscalls.mount(source_name(session.tag), place.descriptor, "tmpfs", syscalls.DATA_ONLY, f"size={volume.size + _SPARE},mode=0700")
    except OSError as error:
        raise CannotMount(f"{volume.label}: no tmpfs for a copy of it can be mounted: {error.strerror}") from error
    try:
        copy_out(session.tag, volume, place.path)
        if read_only or session.untouched:
            syscalls.mount("", place.path, "", syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.DATA_ONLY | syscalls.MS_RDONLY)
        else:
            session.stage(place.path, volume)
    except (OSError, TargetError) as error:
        syscalls.unmount_below(place.path, 5.0)
        raise CannotMount(f"{volume.label}: {error}") from error


def source_name(tag):
    """What the mount table shows as the source of the copy."""
    return f"agnostic.recovery:{tag}"


def copy_out(tag, volume, folder):
    """Copies all files of the volume into an empty folder, with their times."""
    _run(tag, volume, ["mcopy", "-s", "-m", "-n", "-Q", "::", folder])


def write_back(tag, staged):
    """Makes the FAT file system equal to its copy, then reads it again to prove that. Raises TargetError."""
    entry = syscalls.mount_at(staged.folder)
    if entry is None or entry.source != source_name(tag):
        raise TargetError(f"The copy of {staged.volume.label} at {staged.folder} was unmounted by someone else: changes to it are lost.")
    # A process that was killed while it wrote back may have left a child that still does.
    if processes.wait_until_gone(_mark(tag), _PATIENCE):
        raise TargetError(f"Another process is still writing to {staged.volume.label}.")
    wanted = nodes(staged.folder)
    with tempfile.TemporaryDirectory(prefix="agnostic-recovery-") as scratch:
        before, after = os.path.join(scratch, "before"), os.path.join(scratch, "after")
        os.mkdir(before)
        copy_out(tag, staged.volume, before)
        if not _change(tag, staged, nodes(before), wanted):
            return
        os.mkdir(after)
        copy_out(tag, staged.volume, after)
        left = sorted(key for key, _node in set(_values(nodes(after))) ^ set(_values(wanted)))
    if left:
        raise TargetError(f"Changes to {staged.volume.label} could not be written completely: {', '.join(left[:5])}. "
                          "FAT may be full, or cannot hold such names.")


def nodes(folder):
    """All files and folders beneath `folder`, as a dict from the name as FAT compares it to a Node."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(place, name)
            mode = os.lstat(path).st_mode
            relative = os.path.relpath(path, folder)
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise TargetError(f"{path} is no regular file; FAT cannot hold it.")
            node = Node(relative, stat.S_ISDIR(mode), "" if stat.S_ISDIR(mode) else _digest(path))
            known = found.get(relative.lower())
            if known and not (known.is_folder and node.is_folder):
                raise TargetError(f"{path} and {known.path} have the same name in FAT, which knows no upper and lower case.")
            found.setdefault(relative.lower(), node)
    return found


def _change(tag, staged, before, wanted):
    """Deletes first: that frees the room that the rest may need. Returns whether anything was changed."""
    gone = {key for key in before if key not in wanted or before[key].is_folder != wanted[key].is_folder}
    tops = [key for key in gone if os.path.dirname(key) not in gone]
    new = [key for key in sorted(wanted) if key in gone or key not in before or before[key].digest != wanted[key].digest]
    for key in tops:
        _run(tag, staged.volume, ["mdeltree", "::/" + _quoted(before[key].path)])
    for key in new:
        node = wanted[key]
        # The last part is a new name and is taken as it is; what leads to it is a pattern.
        target = os.path.join("::/" + _quoted(os.path.dirname(node.path)), os.path.basename(node.path))
        if node.is_folder:
            _run(tag, staged.volume, ["mmd", "-D", "s", target])
        else:
            _run(tag, staged.volume, ["mcopy", "-o", "-m", "-Q", os.path.join(staged.folder, node.path), target])
    return bool(tops or new)


def _mark(tag):
    return f"{tag}.mtools"


def _quoted(path):
    """mtools take names on the volume as patterns, in the manner of a shell."""
    return re.sub(r"([\[\]*?\\])", r"\\\1", path)


def _values(found):
    return [(key, (node.is_folder, node.digest)) for key, node in found.items()]


def _digest(path):
    total = hashlib.sha256()
    with open(path, "rb") as stream:
        for piece in iter(lambda: stream.read(1 << 20), b""):
            total.update(piece)
    return total.hexdigest()


def _run(tag, volume, command):
    """Runs one of the mtools on the volume. The disk is passed as a descriptor, so that no character of its path can mean something."""
    descriptor = os.open(volume.path, os.O_RDONLY)
    try:
        image = f"/proc/self/fd/{descriptor}@@{volume.start}"
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "MTOOLSRC": os.devnull, "MTOOLS_SKIP_CHECK": "1",
                       processes.MARK: _mark(tag)}
        done = subprocess.run(command[:1] + ["-i", image] + command[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, pass_fds=(descriptor,), env=environment, check=False)
    finally:
        os.close(descriptor)
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode != 0:
        raise TargetError(f"{command[0]} failed on {volume.label}: {' '.join(said.split())[-300:] or 'no reason given'}")
