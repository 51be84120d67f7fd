# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine boots without the disks that were not recovered.

systemd waits 90 seconds for each disk of fstab and then gives up the boot in emergency mode (systemd.mount(5)). What lies on a disk that
is not there gets `nofail`, and where systemd reads it also a short `x-systemd.device-timeout`; an entry of crypttab gets `nofail`
(crypttab(5)). A disk is missing when its UUID, label or old name is on none of the recovered disks, when the volume group has physical
volumes elsewhere (told by /etc/lvm/backup, which LVM keeps up to date), or when it is opened from such a disk.
What is mounted below such a mount point, or from a folder there, fails with it and gets `nofail` too.
"""

import re

from typing import List

from ...machine.fstab import parse_fstab_lines, replace_options
from ...machine.lvmconf import physical_volumes
from ..draft import Draft
from ..situation import Situation
from .names import contents, read_names

NAME = "missing_disks"

FSTAB = "/etc/fstab"
CRYPTTAB = "/etc/crypttab"
BACKUPS = "/etc/lvm/backup"
NETWORK_TYPES = ("nfs", "nfs4", "cifs", "smb3", "glusterfs", "ceph", "fuse.sshfs", "9p", "virtiofs")
ESSENTIAL = ("/", "/usr", "/var", "/boot", "/boot/efi", "/etc")      # without these the machine does not do its work
OPAQUE = ("luks", "md", "zfs", "bitlocker", "unknown")               # may hold physical volumes that cannot be seen
WAIT = "x-systemd.device-timeout=10s"
REASON = "this disk was not recovered, and the boot must not wait for it"


def plan(situation: Situation, draft: Draft) -> None:
    missing = _Missing(situation, draft)
    text = draft.read_text(CRYPTTAB)
    if text is not None:
        draft.write_text(CRYPTTAB, _planned_crypttab(draft, text, missing), REASON)
    text = draft.read_text(FSTAB)
    if text is not None:
        draft.write_text(FSTAB, _planned_fstab(situation, draft, text, missing), REASON)


def verify(situation: Situation) -> List[str]:
    draft = Draft(situation.tree)
    plan(situation, draft)
    return [f"{change.path} still makes the boot wait for a disk that was not recovered." for change in draft.changes]


class _Missing:
    """Which devices are on none of the recovered disks. What cannot be told counts as there."""

    def __init__(self, situation, draft):
        self._names = read_names(situation.disks)
        self.groups = _missing_groups(situation, draft)
        self.opened = set()                  # names of /dev/mapper that crypttab opens from a missing disk

    def has(self, spec):
        return self._names.is_missing(spec) or _group(spec) in self.groups or spec.partition("/dev/mapper/")[2] in self.opened

    def why(self, spec):
        if self._names.is_ambiguous(spec):
            return "a name of the old hardware that does not tell which of the recovered disks it was"
        return "which is on none of the recovered disks"


def _missing_groups(situation, draft):
    """Volume groups with a physical volume that is on none of the disks."""
    found = contents(situation.disks)
    if not situation.disks or any(content.kind in OPAQUE for content in found):
        return frozenset()
    there = {content.uuid for content in found if content.kind == "lvm2"}
    missing = set()
    for path in draft.glob(BACKUPS + "/*"):
        needed = physical_volumes(draft.read_text(path) or "")
        if not there.issuperset(needed):
            missing.add(path.rsplit("/", 1)[1])
    return frozenset(missing)


def _group(spec):
    """The volume group of /dev/group/volume or /dev/mapper/group-volume, where a hyphen of a name is written twice; "" for others."""
    match = re.match(r"/dev/mapper/((?:[^-/]|--)+)-(?:[^-/]|--)+\Z", spec)
    if match:
        return match.group(1).replace("--", "-")
    match = re.match(r"/dev/([^/]+)/[^/]+\Z", spec)
    return match.group(1) if match and match.group(1) not in ("mapper", "disk", "md") else ""


def _planned_crypttab(draft, text, missing):
    lines = text.split("\n")
    for number, line in enumerate(lines):
        fields = line.split()
        if len(fields) < 2 or fields[0].startswith("#") or not missing.has(fields[1]):
            continue
        missing.opened.add(fields[0])
        options = fields[3].split(",") if len(fields) > 3 else []
        draft.find("warning", f"{CRYPTTAB} opens {fields[0]} from {fields[1]}, {missing.why(fields[1])}.")
        if "nofail" not in options:
            lines[number] = line.rstrip() + (",nofail" if options else " none nofail" if len(fields) < 3 else " nofail")
            if len(fields) > 4:              # something follows the options
                lines[number] = re.sub(r"^(\s*(?:\S+\s+){3}\S+)", r"\1,nofail", line)
    return "\n".join(lines)


def _planned_fstab(situation, draft, text, missing):
    gone = []                                # mount points of what is missing
    for index, mount in parse_fstab_lines(text):
        options = mount.options.split(",")
        if "noauto" in options:
            continue
        if _lies_in(mount.path, gone) or _lies_in(mount.spec, gone):
            text = _with_options(text, index, mount, ["nofail"])
            continue
        if "_netdev" in options or mount.type in NETWORK_TYPES or not missing.has(mount.spec):
            continue
        if mount.path.strip("/"):
            gone.append(mount.path.rstrip("/"))
        where = f"{FSTAB} names {mount.spec} for {mount.path}, {missing.why(mount.spec)}"
        if mount.path in ESSENTIAL:
            draft.find("error", f"{where}. Recover that disk too, or name it by UUID= on the source and capture it again.")
        else:
            draft.find("warning", f"{where}; the machine boots without it.")
        if mount.path not in ("/", "/usr"):
            text = _with_options(text, index, mount, ["nofail", WAIT] if situation.systemd else ["nofail"])
    return text


def _lies_in(path, folders):
    return any(path.startswith(folder + "/") for folder in folders if folder.startswith("/"))


def _with_options(text, index, mount, wanted):
    have = [option.partition("=")[0] for option in mount.options.split(",")]
    added = [option for option in wanted if option.partition("=")[0] not in have]
    if not added:
        return text
    try:
        return replace_options(text, index, ",".join([mount.options] + added))
    except ValueError:                       # a line that ends before the options
        lines = text.split("\n")
        lines[index] = lines[index].rstrip() + (" auto" if len(lines[index].split()) < 3 else "") + " " + ",".join(["defaults"] + added)
        return "\n".join(lines)
