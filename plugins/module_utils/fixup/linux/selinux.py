# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SELinux labels of what the other fix-ups create.

A file without a label, or with that of a neighbour, is one that a confined service of the recovered machine may not read: no network,
no login. Each new file gets its label when it is made (labels.py); this says of which that cannot be, and looks at the labels afterwards.
What the machine had keeps the label that it had.
"""

import os
import stat

from typing import List

from ...errors import MachineError
from ...machine import esp
from .. import journal, writer
from ..change import AppendArchive, ChangeLink, action
from ..draft import Draft
from ..labels import Labels
from ..situation import Situation

NAME = "selinux"

_MAX_NAMES = 20            # of files in a finding


def plan(situation: Situation, draft: Draft) -> None:
    created = _created(situation.tree, draft.changes)
    if not created:
        return
    labels = Labels(situation.tree)
    if not labels.used:
        return
    fat = _without_labels(situation)
    unkept, doubtful = [], {}
    for path, kind in created:
        if path.startswith(fat):
            continue
        if writer.read_label(situation.tree, _existing(situation.tree, path)) is None:
            unkept.append(path)
            continue
        doubt = labels.of(path, kind).doubt
        if doubt:
            doubtful.setdefault(doubt, []).append(path)
    if unkept:
        draft.find(
            "warning",
            f"The machine uses SELinux, but here its file system is mounted so that new files get no label: {_names(unkept)}. "
            "Run restorecon on them when the machine runs, or mount the image by the worker's kernel (backend: kernel).",
        )
    for doubt, paths in doubtful.items():
        draft.find(
            "warning",
            f"The SELinux label of new files may be wrong: {_names(paths)}. {doubt} Run restorecon on them when the machine runs.",
        )


def verify(situation: Situation) -> List[str]:
    numbers = journal.numbers(situation.tree)
    labels = Labels(situation.tree)
    if not numbers or not labels.used:
        return []
    data = journal.read(situation.tree, numbers[-1])
    fat = _without_labels(situation)
    paths = [entry["path"] for entry in data["entries"] if entry["status"] is None] + data["made"]
    return [
        problem for problem in (_problem(situation.tree, labels, path) for path in paths if not path.startswith(fat)) if problem
    ]


def _problem(tree, labels, path):
    try:
        kind = stat.S_IFMT(tree.stat(path, follow=False).st_mode)
    except MachineError:
        return ""
    wanted, found = labels.of(path, kind).value, writer.read_label(tree, path)
    return f"{path} has the SELinux label {_text(found)} instead of {_text(wanted)}." if wanted and found not in (None, wanted) else ""


def _text(label):
    return label.rstrip(b"\0").decode("ascii", "backslashreplace") or "(none)"


def _created(tree, changes):
    """(path, file type) of all that will be new, folders on the way to it before it."""
    first, last = {}, {}
    for change in changes:
        first.setdefault(change.path, change)
        last[change.path] = change
    found = {}
    for path, change in last.items():
        if isinstance(change, AppendArchive) or first[path].before is not None or action(change) == "removed":
            continue
        found.update((folder, stat.S_IFDIR) for folder in journal.missing_folders(tree, [os.path.dirname(path)]))
        found[path] = stat.S_IFLNK if isinstance(change, ChangeLink) else stat.S_IFREG
    return tuple(found.items())


def _existing(tree, path):
    """The nearest folder that is there."""
    while not tree.isdir(path):
        path = path.rpartition("/")[0] or "/"
    return path


def _without_labels(situation):
    """How paths begin that lie on FAT, whose files have no labels of their own on any system."""
    points = [mount.path for mount in situation.mounts if mount.type in ("vfat", "msdos")]
    points.extend(esp.system_partitions(situation.tree, situation.mounts))
    return tuple(point.rstrip("/") + "/" for point in points)


def _names(paths):
    more = len(paths) - _MAX_NAMES
    return ", ".join(paths[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
