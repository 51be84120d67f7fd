# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "capture": source, machine and image put together."""

import os
from contextlib import ExitStack, contextmanager

from ..errors import SourceError
from ..fixup.recoverability import not_judged
from ..image.capture import capture_image
from ..image.diskread import CaptureDisk
from ..image.pace import Limits, Pace
from ..image.writer import ImageWriter
from ..machine.data import to_data
from ..machine.disk import read_disk
from ..machine.model import Machine
from ..source.consistency import NO_SNAPSHOTS
from ..source.disk import open_disk
from ..source.hostdisks import read_host
from ..source.hooks import HOLD_SECONDS, Hooks
from ..source.livedisk import LiveDisk
from ..source.lvm_leftovers import remove_forgotten
from ..source.lvm_snapshot import LvmSnapshots, find_origins, shortage
from ..source.selection import left_out_in_use, select_disks
from ..source.usedmap import used_maps
from .inspection import inspect_machine, inspect_running_machine
from .live_capture import FREEZE_LIMIT, LiveCapture, mounted_from, refuse_own_repository
from .opening import opened
from .plain import plain
from .recoverability import OTHERS, judge_running_machine

_LIVE = ("auto", "snapshot", "freeze", "crash")      # these capture disks in use
SNAPSHOT_RESERVE = 20            # percent of a volume


def run_capture(spec, progress):
    """Capture the disks of one machine as one image. Raises SourceError, RepositoryError.

    Returns {"changed", "image": ImageInfo or None with `check`, "disks", "left_out", "warnings"}, and without `check` "recoverability".
    """
    consistency = spec.get("consistency") or "auto"
    chosen, left_out, notes = _choose(spec)
    filesystems = _mounted(chosen) if consistency in _LIVE else ()
    running = any(item.writable for item in filesystems)
    with opened(spec) as repository, _open_disks(chosen, live=running or consistency == "frozen") as sources:
        if running:
            result = _capture_running(spec, progress, repository, sources, filesystems)
        else:
            result = _capture_still(spec, progress, repository, sources, consistency == "frozen")
        return dict(result, left_out=left_out, warnings=notes + result["warnings"] + list(repository.store.notes))


def _choose(spec):
    """(disks to capture as [{"name", "path"}], those left out as [{"name", "reason"}], warnings)."""
    if spec.get("disks"):
        return spec["disks"], [], []
    found = select_disks(spec.get("exclude") or ())
    chosen = [{"name": disk.name, "path": disk.path} for disk in found if disk.taken]
    if not chosen:
        raise SourceError("Every disk of this host is excluded.")
    return chosen, [{"name": disk.name, "reason": disk.reason} for disk in found if not disk.taken], list(left_out_in_use(found))


def _mounted(disks):
    with _open_disks(disks, live=True) as sources:
        return mounted_from(sources)


def _capture_still(spec, progress, repository, sources, frozen):
    progress.phase("maps", 0)
    disks = [read_disk(source.name, source.read_at, source.size, source.sector_size) for source in sources]
    maps = used_maps([(source.read_at, disk) for source, disk in zip(sources, disks)], frozen)
    report = [_describe(*each) for each in zip(sources, disks, maps)]
    warnings = _notes(disks)
    if spec.get("hooks"):
        warnings.append("No hook was run: the disks are not in use by this host, or whoever called has frozen them.")
    if spec.get("check"):
        return {"changed": True, "image": None, "disks": report, "warnings": warnings}
    described = Machine(name=spec["machine"], disks=tuple(disks)) if frozen else inspect_machine(spec["machine"], sources, disks)
    recoverability = to_data(not_judged(OTHERS))
    image = capture_image(
        repository, spec["machine"], _machine_data(spec, described),
        [CaptureDisk(source.name, source.size, source.sector_size, source.read_at, used.ranges, tuple(plain(used.parts)))
         for source, used in zip(sources, maps)],
        consistency="filesystem" if frozen else "offline", evidence={"frozen": frozen}, progress=progress,
        workers=spec.get("workers") or 0, limits=_limits(spec, progress), recoverability=recoverability)
    return {"changed": True, "image": plain(image), "disks": report, "recoverability": recoverability,
            "warnings": warnings + list(image.warnings)}


def _capture_running(spec, progress, repository, sources, filesystems):
    if os.geteuid():
        raise SourceError("Disks in use can be captured by root only, since their file systems have to be frozen. Become root.")
    refuse_own_repository(spec["repository"], filesystems)
    limit = spec.get("freeze_limit") or FREEZE_LIMIT
    hooks = Hooks(spec.get("hooks") or (), progress.cancelled, HOLD_SECONDS + limit)
    progress.phase("maps", 0)
    with ExitStack() as stack:
        disks = []
        for source in sources:
            disks.append(LiveDisk(source, filesystems))
            stack.callback(disks[-1].close)
        models = [disk.model for disk in disks]
        snapshots, notes = _snapshots(spec, disks)
        for disk in disks:
            disk.leave_out(snapshots.areas())
        warnings = _notes(models) + notes
        if spec.get("check"):
            report = [_describe(disk, disk.model, disk.look(frozen=False)) for disk in disks]
            return {"changed": True, "image": None, "disks": report, "warnings": warnings}
        machine = _machine_data(spec, inspect_running_machine(spec["machine"], models, filesystems))
        progress.phase("recoverability", 0)
        recoverability = to_data(judge_running_machine(models, filesystems, progress.cancelled))
        capture = LiveCapture(
            lambda shown: ImageWriter(repository, spec["machine"], shown, spec.get("workers") or 0), disks, filesystems, progress,
            limit=limit, limits=_limits(spec, progress),
            crash=spec.get("consistency") == "crash", snapshots=snapshots, applications=hooks)
        captured = capture.run(machine, recoverability)
        report = [_describe(*each) for each in zip(disks, models, captured.looks)]
    return {"changed": True, "image": plain(captured.image), "disks": report, "hooks": hooks.evidence(),
            "recoverability": recoverability,
            "warnings": warnings + hooks.warnings() + list(captured.image.warnings)}


def _snapshots(spec, disks):
    """(the snapshots to be made, warnings)."""
    consistency = spec.get("consistency") or "auto"
    if consistency not in ("auto", "snapshot"):
        return NO_SNAPSHOTS, []
    if not spec.get("check"):
        remove_forgotten()
    origins = find_origins(disks, read_host(), spec.get("snapshot_reserve", SNAPSHOT_RESERVE))
    missing = shortage(origins)
    if consistency == "snapshot" and not origins:
        raise SourceError("No mounted file system of the captured disks lies on a logical volume of which a snapshot can be made.")
    if consistency == "auto" and missing:
        return NO_SNAPSHOTS, ["No snapshots were made, everything was read by passes and a freeze: {0}".format(missing)]
    return (LvmSnapshots(disks, origins) if origins else NO_SNAPSHOTS), []


def _machine_data(spec, described):
    machine = to_data(described)
    # What the disks say of themselves is not for the caller to overrule.
    machine.update((name, value) for name, value in (spec.get("facts") or {}).items() if name not in ("name", "disks"))
    return machine


def _limits(spec, progress):
    return Limits(*(Pace(spec.get(name) or 0, progress.cancelled) for name in ("read_limit", "bandwidth_limit")))


@contextmanager
def _open_disks(disks, live):
    with ExitStack() as stack:
        yield [stack.enter_context(open_disk(disk["path"], disk["name"], live=live)) for disk in disks]


def _notes(disks):
    return ["Disk {0}: {1}".format(disk.name, note) for disk in disks for note in disk.notes]


def _describe(source, disk, used):
    return {"name": source.name, "path": source.path, "size": source.size, "used": used.ranges.total, "table": disk.table,
            "parts": plain(used.parts)}
