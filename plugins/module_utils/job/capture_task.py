# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "capture": source, machine and image put together."""

import os
from contextlib import ExitStack, contextmanager

from ..errors import SourceError
from ..image.capture import capture_image
from ..image.diskread import CaptureDisk
from ..image.pace import Pace
from ..image.writer import ImageWriter
from ..machine.data import to_data
from ..machine.disk import read_disk
from ..machine.model import Machine
from ..source.disk import open_disk
from ..source.livedisk import LiveDisk
from ..source.usedmap import used_map
from .inspection import inspect_machine, inspect_running_machine
from .live_capture import FREEZE_LIMIT, LiveCapture, mounted_from, refuse_own_repository
from .opening import opened
from .plain import plain

_LIVE = ("auto", "freeze", "crash")      # these capture disks in use


def run_capture(spec, progress):
    """Capture the disks of one machine as one image. Raises SourceError, RepositoryError.

    Returns {"changed", "image": ImageInfo or None with `check`, "disks", "warnings"}.
    """
    consistency = spec.get("consistency") or "auto"
    filesystems = _mounted(spec["disks"]) if consistency in _LIVE else ()
    running = any(item.writable for item in filesystems)
    with opened(spec) as repository, _open_disks(spec["disks"], live=running or consistency == "frozen") as sources:
        if running:
            return _capture_running(spec, progress, repository, sources, filesystems)
        return _capture_still(spec, progress, repository, sources, consistency == "frozen")


def _mounted(disks):
    with _open_disks(disks, live=True) as sources:
        return mounted_from(sources)


def _capture_still(spec, progress, repository, sources, frozen):
    progress.phase("maps", 0)
    disks = [read_disk(source.name, source.read_at, source.size, source.sector_size) for source in sources]
    maps = [used_map(source.read_at, disk, frozen) for source, disk in zip(sources, disks)]
    report = [_describe(*each) for each in zip(sources, disks, maps)]
    warnings = _notes(disks)
    if spec.get("check"):
        return {"changed": True, "image": None, "disks": report, "warnings": warnings}
    described = Machine(name=spec["machine"], disks=tuple(disks)) if frozen else inspect_machine(spec["machine"], sources, disks)
    image = capture_image(
        repository, spec["machine"], _machine_data(spec, described),
        [CaptureDisk(source.name, source.size, source.sector_size, source.read_at, used.ranges, tuple(plain(used.parts)))
         for source, used in zip(sources, maps)],
        consistency="filesystem" if frozen else "offline", evidence={"frozen": frozen}, progress=progress,
        workers=spec.get("workers") or 0, reading=_pace(spec, progress))
    return {"changed": True, "image": plain(image), "disks": report,
            "warnings": warnings + list(image.warnings) + list(repository.store.notes)}


def _capture_running(spec, progress, repository, sources, filesystems):
    if os.geteuid():
        raise SourceError("Disks in use can be captured by root only, since their file systems have to be frozen. Become root.")
    refuse_own_repository(spec["repository"], filesystems)
    progress.phase("maps", 0)
    with ExitStack() as stack:
        disks = []
        for source in sources:
            disks.append(LiveDisk(source, filesystems, ()))
            stack.callback(disks[-1].close)
        models = [disk.model for disk in disks]
        warnings = _notes(models)
        if spec.get("check"):
            report = [_describe(disk, disk.model, disk.look(frozen=False)) for disk in disks]
            return {"changed": True, "image": None, "disks": report, "warnings": warnings}
        capture = LiveCapture(
            lambda shown: ImageWriter(repository, spec["machine"], shown, spec.get("workers") or 0), disks, filesystems, progress,
            limit=spec.get("freeze_limit") or FREEZE_LIMIT, reading=_pace(spec, progress), held_back=bool(spec.get("read_limit")),
            crash=spec.get("consistency") == "crash")
        captured = capture.run(_machine_data(spec, inspect_running_machine(spec["machine"], models, filesystems)))
        report = [_describe(*each) for each in zip(disks, models, captured.looks)]
    return {"changed": True, "image": plain(captured.image), "disks": report,
            "warnings": warnings + list(captured.image.warnings) + list(repository.store.notes)}


def _machine_data(spec, described):
    machine = to_data(described)
    # What the disks say of themselves is not for the caller to overrule.
    machine.update((name, value) for name, value in (spec.get("facts") or {}).items() if name not in ("name", "disks"))
    return machine


def _pace(spec, progress):
    return Pace(spec.get("read_limit") or 0, progress.cancelled)


@contextmanager
def _open_disks(disks, live):
    with ExitStack() as stack:
        yield [stack.enter_context(open_disk(disk["path"], disk["name"], live=live)) for disk in disks]


def _notes(disks):
    return ["Disk {0}: {1}".format(disk.name, note) for disk in disks for note in disk.notes]


def _describe(source, disk, used):
    return {"name": source.name, "path": source.path, "size": source.size, "used": used.ranges.total, "table": disk.table,
            "parts": plain(used.parts)}
