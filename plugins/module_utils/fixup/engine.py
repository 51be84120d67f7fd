# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fits a recovery image to its target: inspect, plan, apply, verify, undo.

A fix-up is a module with
    NAME                                  as findings and reports call it
    plan(situation, draft) -> None        puts its changes and findings into the draft
    verify(situation) -> problems         reads the image again after apply and says, in sentences, what is still wrong
"""

import os
import stat
import time

from typing import Dict, List, NamedTuple, Tuple

from ..errors import FixupError
from ..target.profile import Profile
from . import journal, writer
from .change import Finding, Plan
from .draft import Draft
from .labels import Labels
from .linux import (
    agents, cloud_init, cpu_level, disk_names, distribution, firmware, hibernation, initramfs, left_names, lvm, md_arrays, missing_disks,
    selinux, serial_console, stale_files, uefi_fallback, unified_kernels,
)
from .linux.network import fixup as network
from .situation import Options, Situation, inspect

# In this order: the initramfs takes in files that the others write, the UEFI fallback copies menus that they have changed, and SELinux
# labels belong to all that the others create.
FIXUPS = (
    distribution, cpu_level, firmware, disk_names, missing_disks, lvm, md_arrays, hibernation, stale_files, left_names, network,
    cloud_init, agents, serial_console, uefi_fallback, unified_kernels, initramfs, selinux,
)


class Applied(NamedTuple):
    number: int                            # of the journal in the image, 0: there was nothing to change
    paths: Tuple[str, ...]                 # that were changed


class Result(NamedTuple):
    plan: Plan
    applied: Applied
    problems: Tuple[str, ...]              # that verify has found
    seconds: Dict[str, float]              # of each step


def fix_up(tree, disks, profile: Profile, options: Options, only_plan: bool = False) -> Result:
    """All steps in order; with `only_plan` nothing is written. Raises FixupError."""
    seconds = {}

    def timed(step, call):
        began = time.monotonic()
        value = call()
        seconds[step] = round(time.monotonic() - began, 3)
        return value

    if not only_plan:
        recover(tree)
    situation = timed("inspect", lambda: inspect(tree, disks, profile, options))
    planned = timed("plan", lambda: plan(situation))
    if only_plan:
        return Result(planned, Applied(0, ()), (), seconds)
    applied = timed("apply", lambda: apply(tree, planned))
    problems = timed("verify", lambda: verify(situation))
    return Result(planned, applied, problems, seconds)


def plan(situation: Situation) -> Plan:
    """What has to be changed. Nothing is written. Raises FixupError when no change can make the image boot on the target."""
    draft = Draft(situation.tree)
    fill(situation, draft)
    return Plan(situation.profile.name, tuple(draft.changes), tuple(dict.fromkeys(draft.findings)))


def fill(situation: Situation, draft: Draft) -> None:
    """The same into a draft, which keeps what was found until then when FixupError is raised."""
    draft.findings.extend(Finding("inspect", "warning", text) for text in situation.warnings)
    for fixup in FIXUPS:
        draft.fixup = fixup.NAME
        fixup.plan(situation, draft)


def apply(tree, planned: Plan) -> Applied:
    """Makes the changes. Originals and a journal are durable in the image before the first edit.

    Raises FixupError; then the image is as it was before, or, when even that failed or the process died, `undo` makes it so.
    """
    wanted = journal.edits(planned.changes)
    if not wanted:
        return Applied(0, ())
    check_room(tree, wanted)
    labels = Labels(tree)
    number = journal.begin(tree, planned, wanted, labels)
    try:
        for edit in wanted:
            _make(tree, edit, labels)
    except FixupError as error:
        try:
            journal.undo(tree, number)
        except FixupError as second:
            raise FixupError(f"{error} What had been changed before could not be undone either: {second}") from error
        raise
    journal.finish(tree, number)
    return Applied(number, tuple(edit.path for edit in wanted))


def verify(situation: Situation) -> Tuple[str, ...]:
    """What is wrong in an image after apply, told by inspecting it afresh: each fix-up's own proof, and that nothing is left to change."""
    now = inspect(situation.tree, situation.disks, situation.profile, situation.options)
    problems = []
    for fixup in FIXUPS:
        problems.extend(f"{fixup.NAME}: {problem}" for problem in fixup.verify(now))
    problems.extend(f"{change.fixup}: {change.path} would be changed once more ({change.reason})" for change in plan(now).changes)
    return tuple(problems)


def unfinished(tree) -> List[int]:
    """Journals of runs that did not come to their end."""
    return [number for number in journal.numbers(tree) if journal.read(tree, number)["state"] != "applied"]


def recover(tree) -> Tuple[str, ...]:
    """Undoes what killed runs have left; gives the paths."""
    return tuple(path for number in reversed(unfinished(tree)) for path in journal.undo(tree, number))


def undoable(tree) -> Tuple[str, ...]:
    """The paths that `undo` would bring back."""
    return tuple(entry["path"] for number in reversed(journal.numbers(tree)) for entry in reversed(journal.read(tree, number)["entries"]))


def undo(tree) -> Tuple[str, ...]:
    """Undoes all that was applied, latest first; gives the paths. Without a journal in the image it does nothing."""
    return tuple(path for number in reversed(journal.numbers(tree)) for path in journal.undo(tree, number))


def _make(tree, edit, labels):
    if edit.kind == "append":
        writer.append_file(tree, edit.path, edit.offset, edit.after)
        return
    if edit.kind == "remove" or edit.kind == "link" and edit.after is None:
        writer.remove_file(tree, edit.path)
        return
    for folder in journal.missing_folders(tree, [os.path.dirname(edit.path)]):
        writer.make_folder(tree, folder, 0o755, labels.of(folder, stat.S_IFDIR).value)
    if edit.kind == "link":
        target, label = edit.after.decode("utf-8", "surrogateescape"), labels.of(edit.path, stat.S_IFLNK).value
        writer.write_link(tree, edit.path, target, label=label)
    else:
        writer.write_file(tree, edit.path, edit.after, edit.mode, labels.of(edit.path, stat.S_IFREG).value)


def check_room(tree, wanted) -> None:
    """Raises FixupError when a file system of the image has no room for the edits and the kept originals."""
    needs = {}       # type: Dict[int, List]     # device -> [bytes, files, a path on it]
    for edit in wanted:
        _need(tree, needs, edit.path, len(edit.after or b""), 0 if edit.kind == "append" else 1)
        if edit.before is not None:
            _need(tree, needs, journal.FOLDER, len(edit.before), 1)
    # The journal itself, twice while it is replaced, and the folders.
    _need(tree, needs, journal.FOLDER, 4096 * len(wanted) + 65536, 8)
    for _device, (size, files, path) in sorted(needs.items()):
        with tree.directory(path) as descriptor:
            room = os.fstatvfs(descriptor)
        free = room.f_bfree * room.f_frsize
        if free < size:
            raise FixupError(
                f"There is too little room on the file system that holds {path} of the recovery image: {_mib(size)} MiB are needed and "
                f"{_mib(free)} MiB are free. "
                "Remove what is not needed there (old kernels, in /boot), or restore to a larger disk."
            )
        if room.f_files and room.f_ffree < files:
            raise FixupError(
                f"The file system that holds {path} of the recovery image has no room for {files} more files. "
                "Remove what is not needed there."
            )


def _need(tree, needs, path, size, files):
    folder = os.path.dirname(path)
    while not tree.isdir(folder):
        folder = os.path.dirname(folder)
    need = needs.setdefault(tree.stat(folder).st_dev, [0, 0, folder])
    need[0] += (size + 4095) // 4096 * 4096
    need[1] += files


def _mib(size):
    return f"{size / 1048576:.1f}"
