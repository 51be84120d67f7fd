# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the jobs do: source, machine, image and repository put together.

Every task takes the job's specification (plain data, see the modules image_capture, image_restore and image_verify for its
keys) and a progress object, and returns plain data. With `check` in the specification nothing is written outside the job folder.
"""

from contextlib import ExitStack, contextmanager

from ..errors import RecoveryError, RepositoryError
from ..image.capture import CaptureDisk, capture_image
from ..image.manifest import find_image
from ..image.restore import restore_image
from ..image.verify import verify
from ..machine.data import to_data
from ..machine.disk import read_disk
from ..machine.model import Machine
from ..source.disk import open_disk
from ..source.usedmap import used_map
from .options import open_named
from .targets import check_target


def run(spec, progress):
    """Run the job that the specification asks for."""
    return {"capture": run_capture, "restore": run_restore, "verify": run_verify}[spec["kind"]](spec, progress)


def run_capture(spec, progress):
    """Capture the disks of one machine as one image; returns {"changed", "image", "disks", "warnings"}.

    Raises SourceError, RepositoryError.
    """
    frozen = spec.get("consistency") == "frozen"
    repository = open_named(spec)
    with _open_disks(spec["disks"], live=frozen) as sources:
        progress.phase("maps", 0)
        described = [read_disk(source.name, source.read_at, source.size, source.sector_size) for source in sources]
        maps = [used_map(source.read_at, disk, frozen=frozen) for source, disk in zip(sources, described)]
        report = [_describe_disk(*one) for one in zip(sources, described, maps)]
        if spec.get("check"):
            return {"changed": True, "image": None, "disks": report}
        machine = to_data(Machine(name=spec["machine"], disks=tuple(described)))
        machine.update((key, value) for key, value in (spec.get("facts") or {}).items() if key not in ("name", "disks"))
        image = capture_image(
            repository, spec["machine"], machine,
            [CaptureDisk(source.name, source.size, source.sector_size, source.read_at, disk_map.ranges)
             for source, disk_map in zip(sources, maps)],
            consistency="filesystem" if frozen else "offline", evidence={"frozen": frozen, "disks": report},
            progress=progress, workers=spec.get("workers") or 0)
    return {"changed": True, "image": to_data(image), "disks": report}


@contextmanager
def _open_disks(disks, live):
    with ExitStack() as stack:
        yield [stack.enter_context(open_disk(disk["path"], disk["name"], live=live)) for disk in disks]


def _describe_disk(source, disk, disk_map):
    return {
        "name": source.name, "path": source.path, "size": source.size, "used": disk_map.ranges.total, "table": disk.table,
        "parts": [part._asdict() for part in disk_map.parts],
    }


def run_restore(spec, progress):
    """Restore disks of one image; returns {"changed", "image", "disks"}.

    Raises RepositoryError, TargetError.
    """
    repository = open_named(spec)
    image = find_image(repository, spec["machine"], spec.get("image") or "latest")
    targets = {disk["name"]: disk["path"] for disk in spec["disks"]}
    return {"image": image, "targets": targets, "progress": progress, "restore": restore_image, "check": check_target}


def run_verify(spec, progress):
    return verify(open_named(spec), spec, RecoveryError, RepositoryError, progress)
