# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Never wake up a machine from a hibernation image on another platform, and never wait for a swap disk that is not there.

A swap with the signature of a suspended system makes the initramfs load that system's memory: kernel state of the old hardware over
file systems that have changed since. `noresume` on the command line forbids it to the kernel (Documentation/admin-guide/
kernel-parameters.txt), initramfs-tools, dracut and systemd (systemd-hibernate-resume-generator(8)) alike. The swap itself is left: its
area lies outside of what is mounted, and swapon(8) writes it a new header when it finds such data.
"""

import re

from typing import List

from ..draft import Draft
from ..situation import Situation
from . import commandline
from .names import read_names

NAME = "hibernation"

WORD = "noresume"
REASON_IMAGE = "the swap holds a hibernated system, which must not wake up on other hardware"
REASON_MISSING = "the swap to resume from is on none of the recovered disks, and the boot would wait for it"
RESUME_FILE = "/etc/initramfs-tools/conf.d/resume"

_SETTING = re.compile(r"""^[ \t]*RESUME=["']?(?P<spec>[^\s"'#]+)""", re.MULTILINE)


def plan(situation: Situation, draft: Draft) -> None:
    places = _hibernated(situation.disks)
    if places:
        draft.find(
            "warning",
            f"The swap on {', '.join(places)} holds a hibernated system. It is not woken up ({WORD} on the kernel command lines): what it "
            "had in memory is lost, as after a power failure. The first swapon makes the swap usable again; take the word away to "
            "hibernate on the target.",
        )
        _forbid(draft, commandline.ENTRIES, REASON_IMAGE, lambda line: True)
        return
    names = read_names(situation.disks)
    missing = set()

    def waits(line):
        found = [spec for spec in commandline.arguments(line, "resume") if names.is_missing(spec)]
        missing.update(found)
        return bool(found)

    _forbid(draft, commandline.ENTRIES + commandline.SOURCES, REASON_MISSING, waits)
    text = draft.read_text(RESUME_FILE) or ""
    settings = [setting for setting in _SETTING.finditer(text) if names.is_missing(setting.group("spec"))]
    for setting in reversed(settings):
        missing.add(setting.group("spec"))
        text = text[:setting.start("spec")] + "none" + text[setting.end("spec"):]
    if settings:
        draft.write_text(RESUME_FILE, text, REASON_MISSING)
        # The initramfs that is there has the setting built in.
        _forbid(draft, commandline.ENTRIES, REASON_MISSING, lambda line: True)
    for spec in sorted(missing):
        draft.find("warning", f"The machine would resume from {spec}, which is on none of the recovered disks. It will not try to.")


def verify(situation: Situation) -> List[str]:
    if not _hibernated(situation.disks):
        return []
    return [
        f"{path} starts a kernel without {WORD}, and the swap holds a hibernated system."
        for path, text, pattern in commandline.files(Draft(situation.tree), commandline.ENTRIES)
        for line in commandline.lines(text, pattern) if WORD not in line.split()
    ]


def _hibernated(disks):
    """Names of the partitions whose swap has the signature of a suspended system (machine/content.py says so in a note)."""
    return tuple(
        f"partition {partition.number} of {disk.name}" if partition is not None else disk.name
        for disk in disks
        for partition, content in [(None, disk.content)] + [(partition, partition.content) for partition in disk.partitions]
        if content.kind == "swap" and content.note
    )


def _forbid(draft, forms, reason, wanted):
    for path, text, pattern in commandline.files(draft, forms):
        draft.write_text(path, commandline.edited(text, pattern, lambda line: _with_word(line) if wanted(line) else line), reason)


def _with_word(line):
    return line if WORD in line.split() else f"{line} {WORD}"
