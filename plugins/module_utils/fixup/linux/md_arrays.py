# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mdadm finds the members of its arrays on the target's disks.

mdadm.conf(5): DEVICE lines limit where mdadm looks, `devices=` on ARRAY lines which members it takes. Names of the old disks there leave
every array unassembled. DEVICE gets `partitions`, that is all that the kernel has; an array is known by its UUID. The initramfs holds a
copy, since it is there that the root's array is assembled.
"""

import re

from typing import Dict, List

from ..draft import Draft
from ..situation import Situation

NAME = "md_arrays"

PATHS = ("/etc/mdadm.conf", "/etc/mdadm/mdadm.conf", "/etc/mdadm.conf.d/*.conf", "/etc/mdadm/mdadm.conf.d/*.conf")
REASON = "it looks for the members of arrays on disks by their old names"

_OLD_DISK = re.compile(r"/dev/(?:(?:sd|hd|vd|xvd|nvme|mmcblk|cciss)\S*|disk/by-(?:id|path)/\S+|mapper/mpath\S+)")
# A line goes on where the next begins with a blank; keywords count by their first three letters, in any case.
_LINE = re.compile(r"^[^\s#].*?$(?:\n[ \t]+[^\n]*)*", re.MULTILINE)
_UUID = re.compile(r"\buuid=", re.IGNORECASE)
_MEMBERS = re.compile(r"\s+devices=(?P<names>\S+)", re.IGNORECASE)


def plan(situation: Situation, draft: Draft) -> None:
    for pattern in PATHS:
        for path in draft.glob(pattern):
            text = draft.read_text(path)
            if text is None:
                continue
            draft.write_text(path, _with_lasting_names(text), REASON)
            for line in _nameless(text):
                words = " ".join(line.split())
                draft.find("warning", f"{path} knows the array of the line \"{words}\" by its old disks only. Add its UUID.")


def verify(situation: Situation) -> List[str]:
    draft = Draft(situation.tree)
    plan(situation, draft)
    return [f"{change.path} still names old disks." for change in draft.changes]


def in_initramfs(contents: Dict[str, str]) -> Dict[str, str]:
    """The files of an initramfs that change: contents by path, of those that it holds."""
    return {
        path: _with_lasting_names(text)
        for path, text in contents.items() if path == "etc/mdadm.conf" or path.startswith(("etc/mdadm/", "etc/mdadm.conf.d/"))
    }


def _with_lasting_names(text):
    return _LINE.sub(lambda match: _changed(match.group(0)), text)


def _keyword(line):
    return line.split(None, 1)[0].lower()[:3]


def _changed(line):
    if _keyword(line) == "dev" and _OLD_DISK.search(line):
        rest = [word for word in line.split()[1:] if not _OLD_DISK.match(word) and word != "partitions"]
        return " ".join([line.split()[0], "partitions"] + rest)
    if _keyword(line) == "arr" and _UUID.search(line):
        return _MEMBERS.sub(lambda match: "" if _OLD_DISK.search(match.group("names")) else match.group(0), line)
    return line


def _nameless(text):
    for line in _LINE.findall(text):
        members = _MEMBERS.search(line)
        if _keyword(line) == "arr" and not _UUID.search(line) and members and _OLD_DISK.search(members.group("names")):
            yield line
