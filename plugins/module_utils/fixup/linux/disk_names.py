# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of disks that depend on the old hardware, replaced by what lasts: in fstab, crypttab, kernel command lines and the resume setting.

Without this the root file system is not found, or one entry of fstab stops the boot in emergency mode. Data disks that were not
recovered get `nofail`, since systemd waits 90 seconds for each and then gives up the boot (systemd.mount(5)).
"""

import functools
import re

from typing import List

from ...machine.fstab import parse_fstab_lines, replace_options, replace_spec, split_spec
from ..draft import Draft
from ..situation import Situation
from . import commandline
from .names import read_names

NAME = "disk_names"

FSTAB = "/etc/fstab"
CRYPTTAB = "/etc/crypttab"
RESUME = "/etc/initramfs-tools/conf.d/resume"

ARGUMENTS = ("root", "real_root", "resume", "cryptdevice")           # of a kernel command line that name a device
NETWORK_TYPES = ("nfs", "nfs4", "cifs", "smb3", "glusterfs", "ceph", "fuse.sshfs", "9p", "virtiofs")
ESSENTIAL = ("/", "/usr", "/var", "/boot", "/boot/efi", "/etc")      # without these the machine does not do its work

REASON = "the name depends on the old disk controller"
REASON_MISSING = "this disk was not recovered, and the boot must not wait for it"

_ARGUMENT = re.compile(r"""(?P<head>(?<![^\s"'])(?:%s)=)(?P<spec>/dev/[^\s"':,;]+)""" % "|".join(ARGUMENTS))
_SETTING = re.compile(r"""^(?P<head>[ \t]*RESUME=["']?)(?P<spec>/dev/[^\s"']+)""", re.MULTILINE)
_SECOND_FIELD = re.compile(r"^(?P<head>[ \t]*[^#\s]\S*[ \t]+)(?P<spec>/dev/\S+)", re.MULTILINE)


def plan(situation: Situation, draft: Draft) -> None:
    names = read_names(situation.disks)
    _plan_fstab(draft, names)
    text = draft.read_text(CRYPTTAB)
    if text is not None:
        draft.write_text(CRYPTTAB, _renamed(_SECOND_FIELD, names, _reporter(draft, CRYPTTAB), text), REASON)
    # The kernel itself knows PARTUUID= and no UUID=; that takes an initramfs.
    by_partition = any(not kernel.initramfs for kernel in situation.kernels)
    for path, text, pattern in commandline.files(draft, commandline.ENTRIES + commandline.SOURCES):
        edit = functools.partial(_renamed, _ARGUMENT, names, _reporter(draft, path), by_partition=by_partition)
        draft.write_text(path, commandline.edited(text, pattern, edit), REASON)
    text = draft.read_text(RESUME)
    if text is not None:
        draft.write_text(RESUME, _renamed(_SETTING, names, _reporter(draft, RESUME), text), REASON)


def verify(situation: Situation) -> List[str]:
    names = read_names(situation.disks)
    draft = Draft(situation.tree)
    problems = []
    for mount in situation.mounts:
        if names.is_bound(mount.spec) and names.find(mount.spec) is not None:
            problems.append(f"{FSTAB} still names {mount.spec} for {mount.path}.")
    for path, text, pattern in commandline.files(draft, commandline.ENTRIES):
        for line in commandline.lines(text, pattern):
            for spec in commandline.arguments(line, "root"):
                tag, value = split_spec(spec)
                if names.is_bound(spec):
                    problems.append(f"{path} still starts a kernel with root={spec}.")
                elif tag in ("UUID", "PARTUUID", "LABEL", "PARTLABEL") and names.transparent and not names.has(tag, value):
                    problems.append(f"{path} starts a kernel with root={spec}, which is on none of the recovered disks.")
    return problems


def renamed_in_initramfs(situation: Situation, path: str, text: str) -> str:
    """The content of a configuration file inside an initramfs, with names that last; `path` is its path in there."""
    names = read_names(situation.disks)
    if path.startswith("etc/cmdline.d/"):
        return _renamed(_ARGUMENT, names, _ignored, text)
    if path.startswith("conf/"):
        return _renamed(_SETTING, names, _ignored, text)
    if path.endswith("crypttab"):
        return _renamed(_SECOND_FIELD, names, _ignored, text)
    for index, mount in parse_fstab_lines(text) if path == "etc/fstab" else ():
        lasting = names.lasting(mount.spec) if names.is_bound(mount.spec) else ""
        text = replace_spec(text, index, lasting) if lasting else text
    return text


def _plan_fstab(draft, names):
    text = draft.read_text(FSTAB)
    if text is None:
        draft.find("warning", f"There is no {FSTAB} in the image.")
        return
    for index, mount in parse_fstab_lines(text):
        lasting = names.lasting(mount.spec) if names.is_bound(mount.spec) else ""
        if lasting:
            text = replace_spec(text, index, lasting)
    draft.write_text(FSTAB, text, REASON)
    for index, mount in parse_fstab_lines(text):
        if not _is_missing(mount, names):
            continue
        if mount.path in ESSENTIAL:
            draft.find(
                "error", f"{FSTAB} mounts {mount.path} from {mount.spec}, which is on none of the recovered disks. Recover that disk too."
            )
        else:
            draft.find(
                "warning",
                f"{FSTAB} names {mount.spec} for {mount.path}, which is on none of the recovered disks; the machine boots without it.",
            )
        if mount.path not in ("/", "/usr"):
            text = _with_nofail(text, index, mount)
    draft.write_text(FSTAB, text, REASON_MISSING)


def _is_missing(mount, names):
    """Whether a local disk that is not among the recovered ones is mounted at boot."""
    options = mount.options.split(",")
    if "noauto" in options or "_netdev" in options or mount.type in NETWORK_TYPES:
        return False
    if names.is_bound(mount.spec):
        return bool(names.disks) and names.find(mount.spec) is None
    tag, value = split_spec(mount.spec)
    return tag in ("UUID", "LABEL", "PARTUUID", "PARTLABEL") and names.transparent and not names.has(tag, value)


def _with_nofail(text, index, mount):
    if "nofail" in mount.options.split(","):
        return text
    try:
        return replace_options(text, index, mount.options + ",nofail")
    except ValueError:                       # a line that ends before the options
        lines = text.split("\n")
        lines[index] = lines[index].rstrip() + (" auto" if len(lines[index].split()) < 3 else "") + " defaults,nofail"
        return "\n".join(lines)


def _renamed(pattern, names, unknown, text, by_partition=False):
    """`text` with each "spec" of the pattern that depends on the hardware replaced; `unknown` is told what is on none of the disks."""
    def lasting(match):
        spec = match.group("spec")
        if not names.is_bound(spec):
            return match.group(0)
        found = names.lasting(spec, by_partition)
        if not found:
            unknown(spec)
        return match.group("head") + (found or spec)

    return pattern.sub(lasting, text)


def _ignored(spec):
    """What is not recovered was reported for the root's own files."""


def _reporter(draft, path):
    return lambda spec: draft.find(
        "warning", f"{path} names {spec}, for which the recovered disks hold no lasting name. It is left as it is."
    )
