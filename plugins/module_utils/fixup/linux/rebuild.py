# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings for the machine's own initramfs tools: what it builds at its next kernel update keeps the target's drivers.

Each tool reads its setting at a place of its own; a tool that the machine has not gets none:
    initramfs-tools   a hook, initramfs-tools(7)
    dracut            dracut.conf(5), add_drivers, in /etc/dracut.conf.d
    mkinitcpio        mkinitcpio.conf(5), MODULES; in /etc/mkinitcpio.conf.d where the program knows that folder, else in the file itself
    mkinitrd of SUSE  INITRD_MODULES in /etc/sysconfig/kernel (mkinitrd(8) up to SLES 11)
    mkinitrd of RHEL  `alias scsi_hostadapterN` in /etc/modprobe.conf (mkinitrd(8) up to RHEL 5)
"""

import re

from typing import Sequence

from ..draft import Draft

REASON = "rebuilding the initramfs on the machine keeps the target's disk drivers"
MARK = "# Disk drivers of the recovery target, for every initramfs that is built here. Written by agnostic.recovery; may be removed.\n"

HOOK = "/etc/initramfs-tools/hooks/agnostic-recovery"
HOOK_FUNCTIONS = "/usr/share/initramfs-tools/hook-functions"
DRACUT_FOLDERS = ("/usr/lib/dracut", "/lib/dracut", "/usr/share/dracut")
DRACUT_CONF = "/etc/dracut.conf.d/90-agnostic-recovery.conf"
DRACUT_FILES = ("/etc/dracut.conf", "/etc/dracut.conf.d/*.conf", "/usr/lib/dracut/dracut.conf.d/*.conf")
MKINITCPIO = "/usr/bin/mkinitcpio"
MKINITCPIO_CONF = "/etc/mkinitcpio.conf"
MKINITCPIO_DROPIN = "/etc/mkinitcpio.conf.d/agnostic-recovery.conf"
SUSE_SCRIPTS = "/lib/mkinitrd/scripts"
SUSE_KERNEL = "/etc/sysconfig/kernel"
NASH = "/sbin/nash"
MODPROBE_CONF = "/etc/modprobe.conf"

_OMIT = re.compile(r"""^[ \t]*omit_drivers\+?=(?P<quote>["'])(?P<names>[^"'\n]*)(?P=quote)""", re.MULTILINE)
_MODULES_ARRAY = re.compile(r"^(?P<head>[ \t]*MODULES=\()(?P<names>[^)#]*)\)", re.MULTILINE)
_MODULES_TEXT = re.compile(r"""^(?P<head>[ \t]*MODULES=(?P<quote>["']))(?P<names>[^"']*)(?P=quote)""", re.MULTILINE)
_INITRD_MODULES = re.compile(r"""^(?P<head>INITRD_MODULES=")(?P<names>[^"\n]*)\"""", re.MULTILINE)
_ADAPTER = re.compile(r"^[ \t]*alias[ \t]+scsi_hostadapter(?P<number>\d*)[ \t]+(?P<name>\S+)", re.MULTILINE)


def plan(draft: Draft, drivers: Sequence[str]) -> None:
    """`drivers` are names of modules that the machine's kernels have as files."""
    tree = draft.tree
    if not drivers:
        return
    if tree.isfile(HOOK_FUNCTIONS):
        draft.write_text(HOOK, _hook(drivers), REASON, 0o755)
    if any(tree.isdir(folder) for folder in DRACUT_FOLDERS):
        draft.write_text(DRACUT_CONF, f'{MARK}add_drivers+=" {" ".join(drivers)} "\n', REASON)      # the blanks inside matter
        _report_omitted(draft, drivers)
    if tree.isfile(MKINITCPIO):
        _plan_mkinitcpio(draft, drivers)
    text = draft.read_text(SUSE_KERNEL) if tree.isdir(SUSE_SCRIPTS) else None
    if text is not None:
        draft.write_text(SUSE_KERNEL, _INITRD_MODULES.sub(lambda match: _longer(match, drivers) + '"', text), REASON)
    text = draft.read_text(MODPROBE_CONF) if tree.isfile(NASH) else None
    if text is not None:
        draft.write_text(MODPROBE_CONF, _with_adapters(text, drivers), REASON)


def _hook(names):
    return (
        "#!/bin/sh\n"
        f"{MARK}"
        'case "$1" in\n'
        "prereqs)\n"
        "    exit 0\n"
        "    ;;\n"
        "esac\n"
        f". {HOOK_FUNCTIONS}\n"
        f"manual_add_modules {' '.join(names)}\n"
    )


def _report_omitted(draft, drivers):
    """What omit_drivers names is left out whatever add_drivers says."""
    for path in [path for pattern in DRACUT_FILES for path in draft.glob(pattern)]:
        omitted = [name.replace("-", "_") for match in _OMIT.finditer(draft.read_text(path) or "") for name in match.group("names").split()]
        hit = sorted(set(omitted).intersection(drivers))
        if hit:
            draft.find(
                "warning",
                f"{path} tells dracut to leave out {', '.join(hit)}. The recovered machine boots; after its next kernel update it may not: "
                "remove that setting.",
            )


def _plan_mkinitcpio(draft, drivers):
    text = draft.read_text(MKINITCPIO_CONF)
    # A list added to a text would keep the text as one name.
    if "_d_config=" in (draft.read_text(MKINITCPIO) or "") and not (text and _MODULES_TEXT.search(text)):
        # "?": a kernel that has not all of them is no error. Without the quotes bash would take it for a pattern.
        names = " ".join(f"'{name}?'" for name in drivers)
        draft.write_text(MKINITCPIO_DROPIN, f"{MARK}MODULES+=({names})\n", REASON)
        return
    if text is None:
        return
    text = _MODULES_ARRAY.sub(lambda match: _longer(match, drivers) + ")", text)
    draft.write_text(MKINITCPIO_CONF, _MODULES_TEXT.sub(lambda match: _longer(match, drivers) + match.group("quote"), text), REASON)


def _longer(match, drivers):
    """The head of a setting and its names, with those of `drivers` that are not among them; the caller closes it."""
    names = match.group("names").split()
    new = [name for name in drivers if name not in [old.rstrip("?").replace("-", "_") for old in names]]
    return match.group("head") + (" ".join(names + new) if new else match.group("names"))


def _with_adapters(text, drivers):
    old = list(_ADAPTER.finditer(text))
    named = {match.group("name").replace("-", "_") for match in old}
    number = max([int(match.group("number") or 0) for match in old] + [-1]) + 1
    new = [name for name in drivers if name not in named]
    lines = "".join(f"alias scsi_hostadapter{at or ''} {name}\n" for at, name in enumerate(new, number))
    return text + ("" if not text or text.endswith("\n") or not lines else "\n") + lines
