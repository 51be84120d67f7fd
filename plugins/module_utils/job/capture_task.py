# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "capture": source, machine and image put together."""

from contextlib import ExitStack, contextmanager

from ..image.capture import capture_image
from ..image.diskread import CaptureDisk
from ..image.pace import Pace
from ..machine.data import to_data
from ..machine.disk import read_disk
from ..machine.model import Machine
from ..source.disk import open_disk
from ..source.usedmap import used_map
from .inspection import inspect_machine
from .opening import opened
from .plain import plain


def run_capture(spec, progress):
    """Capture the disks of one machine as one image. Raises SourceError, RepositoryError.

    Returns {"changed", "image": ImageInfo or None with `check`, "disks", "warnings"}.
    """
    frozen = spec.get("consistency") == "frozen"
    with opened(spec) as repository, _open_disks(spec["disks"], live=frozen) as sources:
        progress.phase("maps", 0)
        disks = [read_disk(source.name, source.read_at, source.size, source.sector_size) for source in sources]
        maps = [used_map(source.read_at, disk, frozen) for source, disk in zip(sources, disks)]
        report = [_describe(*each) for each in zip(sources, disks, maps)]
        warnings = ["Disk {0}: {1}".format(disk.name, note) for disk in disks for note in disk.notes]
        if spec.get("check"):
            return {"changed": True, "image": None, "disks": report, "warnings": warnings}
        described = Machine(name=spec["machine"], disks=tuple(disks)) if frozen else inspect_machine(spec["machine"], sources, disks)
        machine = to_data(described)
        # What the disks say of themselves is not for the caller to overrule.
        machine.update((name, value) for name, value in (spec.get("facts") or {}).items() if name not in ("name", "disks"))
        image = capture_image(
            repository, spec["machine"], machine,
            [CaptureDisk(source.name, source.size, source.sector_size, source.read_at, used.ranges, tuple(plain(used.parts)))
             for source, used in zip(sources, maps)],
            consistency="filesystem" if frozen else "offline", evidence={"frozen": frozen}, progress=progress,
            workers=spec.get("workers") or 0, reading=Pace(spec.get("read_limit") or 0, progress.cancelled),
            sending=Pace(spec.get("bandwidth_limit") or 0, progress.cancelled))
        return {"changed": True, "image": plain(image), "disks": report, "warnings": warnings + list(image.warnings)}


@contextmanager
def _open_disks(disks, live):
    with ExitStack() as stack:
        yield [stack.enter_context(open_disk(disk["path"], disk["name"], live=live)) for disk in disks]


def _describe(source, disk, used):
    return {"name": source.name, "path": source.path, "size": source.size, "used": used.ranges.total, "table": disk.table,
            "parts": plain(used.parts)}
