# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of disks that depend on the old hardware, replaced by what lasts: in fstab, crypttab, kernel command lines and the resume setting.

Without this the root file system is not found, or one entry of fstab stops the boot in emergency mode. GRUB keeps command lines also in
variables: `kernelopts` in grubenv, which the entries of RHEL 8 name, with a copy in grub.cfg for the case that grubenv is lost.

PARTUUIDs of an MBR that became a GPT (recovery/conversion) are replaced by the new ones.
"""

import functools
import re

from typing import List

from ...machine import grubenv
from ...machine.bootloader import GRUBENV_FILES
from ...machine.fstab import parse_fstab_lines, replace_spec
from ..draft import Draft
from ..situation import Situation
from . import commandline
from .names import read_names

NAME = "disk_names"

FSTAB = "/etc/fstab"
CRYPTTAB = "/etc/crypttab"
MOUNT_UNITS = "/etc/systemd/system/*.mount"
RESUME = "/etc/initramfs-tools/conf.d/resume"

ARGUMENTS = ("root", "real_root", "resume", "cryptdevice")           # of a kernel command line that name a device

REASON = "the name depends on the old disk controller or partition table"

# A colon ends the device of cryptdevice=, but names by path, and by id of USB disks, have colons of their own.
_DEVICE = r"""/dev/disk/by-(?:id|path)/[^\s"',;]+?-part\d+(?=[\s"':,;]|$)|/dev/[^\s"':,;]+"""
_PARTUUID = r"PARTUUID=[0-9A-Fa-f]{8}-[0-9A-Fa-f]{2}(?![0-9A-Fa-f-])"     # of an MBR
_ARGUMENT = re.compile(r"""(?P<head>(?<![^\s"'])(?:%s)=)(?P<spec>%s|%s)""" % ("|".join(ARGUMENTS), _DEVICE, _PARTUUID), re.MULTILINE)
_SETTING = re.compile(r"""^(?P<head>[ \t]*RESUME=["']?)(?P<spec>/dev/[^\s"']+|%s)""" % _PARTUUID, re.MULTILINE)
_WHAT = re.compile(r"^(?P<head>What=)(?P<spec>/dev/\S+|%s)" % _PARTUUID, re.MULTILINE)
_SECOND_FIELD = re.compile(r"^(?P<head>[ \t]*[^#\s]\S*[ \t]+)(?P<spec>/dev/\S+|%s)" % _PARTUUID, re.MULTILINE)


def plan(situation: Situation, draft: Draft) -> None:
    names = read_names(situation.disks)
    _plan_fstab(draft, names)
    text = draft.read_text(CRYPTTAB)
    if text is not None:
        draft.write_text(CRYPTTAB, _renamed(_SECOND_FIELD, names, _reporter(draft, CRYPTTAB), text), REASON)
    for path in commandline.unique(draft, (MOUNT_UNITS,)):
        text = draft.read_text(path)
        if text is not None:
            draft.write_text(path, _renamed(_WHAT, names, _reporter(draft, path), text), REASON)
    # The kernel itself knows PARTUUID= and no UUID=; that takes an initramfs.
    by_partition = any(not kernel.initramfs for kernel in situation.kernels)
    for forms in (commandline.ENTRIES + commandline.SOURCES, commandline.VARIABLES):
        for path, text, pattern in commandline.files(draft, forms):
            edit = functools.partial(_renamed, _ARGUMENT, names, _reporter(draft, path), by_partition=by_partition)
            draft.write_text(path, commandline.edited(text, pattern, edit), REASON)
    _plan_grubenv(draft, names)
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
            problems.extend(_problems(names, path, line))
    for path in commandline.unique(draft, GRUBENV_FILES):
        problems.extend(problem for line in (draft.read_text(path) or "").split("\n") for problem in _problems(names, path, line))
    return problems


def _problems(names, path, line):
    for spec in commandline.arguments(line.replace("kernelopts=", ""), "root"):
        if names.is_bound(spec):
            yield f"{path} still starts a kernel with root={spec}."
        elif names.is_missing(spec):
            yield f"{path} starts a kernel with root={spec}, which is on none of the recovered disks."


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


def _plan_grubenv(draft, names):
    """Variables that hold a kernel command line (kernelopts of RHEL 8). The block has a fixed size, see machine/grubenv.py."""
    for path in commandline.unique(draft, GRUBENV_FILES):
        before = draft.read_text(path)
        if before is None:
            continue
        edit = functools.partial(_renamed, _ARGUMENT, names, _reporter(draft, path))
        after = grubenv.edited(before, edit)
        if after is None:
            draft.find(
                "error", f"{path} has no room for a lasting name of the root disk. Shorten kernelopts with grub-editenv on the source."
            )
        else:
            draft.write_text(path, after, REASON)


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
