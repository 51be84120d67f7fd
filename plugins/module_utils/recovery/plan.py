# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From fstab to a plan: what is mounted where, in which order, and what is missing. Pure: nothing is touched here."""

import re
from typing import NamedTuple, Tuple

from .model import Missing, PlannedMount
from .specs import resolve_spec

# These are mounted even if fstab says noauto or ro: without them the fix-ups would change the wrong files, or none.
SYSTEM_PATHS = ("/boot", "/boot/efi", "/boot/firmware", "/efi", "/usr")
# And without these the recovery image is useless.
REQUIRED_PATHS = ("/boot", "/usr")

_NETWORK_TYPES = re.compile(
    r"nfs\d?|cifs|smb.*|ncpfs|afs|ceph|glusterfs|lustre|gpfs|ocfs2|gfs2?|beegfs|davfs2?|sshfs|s3fs|fuse\..*|fuse|9p|virtiofs")
_BTRFS_OPTIONS = ("subvol=", "subvolid=")


class MountPlan(NamedTuple):
    mounts: Tuple[PlannedMount, ...]        # parents before what lies in them; never the root itself
    missing: Tuple[Missing, ...]
    missing_required: Tuple[Missing, ...]   # those of `missing` that must not be


def plan_mounts(entries, volumes, read_only):
    """Plans all entries of an fstab (tuple of machine.model.Mount) but the root. Returns a MountPlan."""
    planned = {}
    missing = []
    for entry in entries:
        path = clean_path(entry.path)
        if not path or path == "/" or not is_wanted(entry, path):
            continue
        found = resolve_spec(entry.spec, entry.type, volumes)
        if found.volume is None:
            missing.append(Missing(entry.spec, path, found.reason))
        elif found.volume.content.kind == "swap":
            missing.append(Missing(entry.spec, path, f"{found.volume.label} holds swap space"))
        elif path in planned:
            missing.append(Missing(entry.spec, path, "an earlier entry of fstab has the same mount point"))
        else:
            planned[path] = _planned(entry, path, found.volume, read_only)
    mounts = tuple(sorted(planned.values(), key=lambda mount: mount.path.split("/")))
    return MountPlan(mounts, tuple(missing), tuple(each for each in missing if each.path in REQUIRED_PATHS and each.path not in planned))


def is_wanted(entry, path):
    """Tells whether an entry names a local disk's file system that the machine mounts by itself."""
    options = entry.options.split(",")
    if entry.type in ("swap", "ignore") or _NETWORK_TYPES.fullmatch(entry.type):
        return False
    if "=" not in entry.spec and not entry.spec.startswith("/dev/"):    # proc, tmpfs, host:/export, //host/share, a file
        return False
    if {"bind", "rbind", "loop", "move"}.intersection(options) or any(option.startswith("loop=") for option in options):
        return False
    return path in SYSTEM_PATHS or "noauto" not in options


def clean_path(path):
    """An absolute path without dots and double slashes; "" for "none", "swap" and other relative ones."""
    if not path.startswith("/"):
        return ""
    parts = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _planned(entry, path, volume, read_only):
    keep_read_only = "ro" in entry.options.split(",") and path not in SYSTEM_PATHS
    return PlannedMount(path, volume, _kept_options(entry, volume), read_only or keep_read_only, path in REQUIRED_PATHS)


def _kept_options(entry, volume):
    if volume.content.kind != "btrfs":
        return ()
    return tuple(option for option in entry.options.split(",") if option.startswith(_BTRFS_OPTIONS))
