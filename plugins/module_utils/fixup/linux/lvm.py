# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LVM finds its physical volumes on the target's disks, whatever these are called.

Since RHEL 9 the devices file lists the disks that LVM may use, by WWID, serial number or name (lvmdevices(8)): on other hardware none of
them is there, no volume group is found, and the boot ends in an emergency shell. Without the file LVM looks at every disk. An older
machine may have a filter by device names in lvm.conf to the same effect; there a rule that accepts disks is put in front.
The initramfs may hold copies of these files, which count before the root is mounted. From there nothing can be taken away: its lvm.conf
says that the devices file is not used.
"""

import re

from typing import Dict, List

from ...machine.lvmconf import device_entries, filters
from ..draft import Draft
from ..situation import Situation

NAME = "lvm"

FOLDER = "/etc/lvm"
CONFIGURATION = FOLDER + "/lvm.conf"
LOCAL_CONFIGURATION = FOLDER + "/lvmlocal.conf"
# LVM2 lib/device/device_id.c: what these types of identifiers name lies above the disks, and is the same on other hardware.
LASTING_TYPES = ("lvmlv_uuid", "md_uuid", "crypt_uuid")

DISKS = "a|^/dev/(sd|vd|xvd|nvme)|"
# One of each family, whole and with a partition: what a filter must let pass on any target.
EXAMPLES = ("/dev/sda", "/dev/sda2", "/dev/vda", "/dev/vda2", "/dev/xvda", "/dev/xvda2", "/dev/nvme0n1", "/dev/nvme0n1p2")
MARK = "# disks of the recovery target (agnostic.recovery)"
REASON_FILTER = "the filter knows the disks by their old names and hides those of the target"
REASON_DEVICES = "it lists disks by identifiers of the old hardware and hides those of the target; without it LVM looks at all disks"

_DEVICES_SETTING = re.compile(r'^[ \t]*devicesfile[ \t]*=[ \t]*"(?P<name>[^"/]+)"', re.MULTILINE)


def plan(situation: Situation, draft: Draft) -> None:
    for path in (CONFIGURATION, LOCAL_CONFIGURATION):
        text = draft.read_text(path)
        if text is not None:
            draft.write_text(path, _with_open_filters(text), REASON_FILTER)
    path = _devices_file(draft)
    text = draft.read_text(path)
    if text is not None and _is_bound(text):
        draft.remove(path, REASON_DEVICES)
        draft.find("info", f"{path} is removed. To have LVM limited to certain disks again, run vgimportdevices -a on the target.")


def verify(situation: Situation) -> List[str]:
    draft = Draft(situation.tree)
    problems = [
        f"A filter in {path} hides the target's disks."
        for path in (CONFIGURATION, LOCAL_CONFIGURATION)
        for rule in filters(draft.read_text(path) or "") if not _is_open(rule)
    ]
    path = _devices_file(draft)
    if _is_bound(draft.read_text(path) or ""):
        problems.append(f"{path} hides the target's disks.")
    return problems


def in_initramfs(contents: Dict[str, str]) -> Dict[str, str]:
    """The files of an initramfs that change: contents by path, of those that it holds."""
    changed = {}
    for path in ("etc/lvm/lvm.conf", "etc/lvm/lvmlocal.conf"):
        if path in contents:
            changed[path] = _with_open_filters(contents[path])
    if any(path.startswith("etc/lvm/devices/") and _is_bound(text) for path, text in contents.items()):
        text = changed.get("etc/lvm/lvm.conf", "")
        if MARK not in text:
            # The last of several sections and settings with one name holds (LVM2 libdm/libdm-config.c, _find_or_make_node).
            text += ("" if not text or text.endswith("\n") else "\n") + f"{MARK}\ndevices {{\n\tuse_devicesfile = 0\n}}\n"
        changed["etc/lvm/lvm.conf"] = text
    return changed


def _devices_file(draft):
    name = "system.devices"
    for path in (CONFIGURATION, LOCAL_CONFIGURATION):
        match = _DEVICES_SETTING.search(draft.read_text(path) or "")
        name = match.group("name") if match else name
    return f"{FOLDER}/devices/{name}"


def _is_bound(text):
    return any(entry["IDTYPE"] not in LASTING_TYPES for entry in device_entries(text))


def _is_open(rule):
    return all(rule.accepts([name]) for name in EXAMPLES)


def _with_open_filters(text):
    for rule in reversed(list(filters(text))):
        if not _is_open(rule):
            value = text[rule.start:rule.end]
            rest = value[1:].lstrip() if value.startswith("[") else value + " ]"
            text = f'{text[:rule.start]}[ "{DISKS}", {rest}{text[rule.end:]}'
    return text
