# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the jobs do: source, machine, image and repository put together.

Every task takes the job's specification (plain data; its keys are the options of the modules image_capture, image_restore and
image_verify) and a progress object, and returns plain data. With `check` in the specification nothing is written.
"""

from contextlib import ExitStack, contextmanager

from ..errors import RepositoryError
from ..image.capture import CaptureDisk, capture_image
from ..image.manifest import find_image, image_ids
from ..image.pace import Pace
from ..image.restore import restore_image
from ..image.verify import verify
from ..machine.data import to_data
from ..machine.disk import read_disk
from ..machine.model import Machine
from ..source.disk import open_disk
from ..source.usedmap import used_map
from .inspection import inspect_machine
from .opening import opened
from .plain import plain
from .targets import check_targets

SHOWN_PROBLEMS = 100


def run(spec, progress):
    """Do the job that the specification asks for."""
    return {"capture": run_capture, "restore": run_restore, "verify": run_verify}[spec["kind"]](spec, progress)


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
            workers=spec.get("workers") or 0, reading=Pace(spec.get("read_limit") or 0, progress.cancelled))
        return {"changed": True, "image": plain(image), "disks": report, "warnings": warnings + list(image.warnings)}


@contextmanager
def _open_disks(disks, live):
    with ExitStack() as stack:
        yield [stack.enter_context(open_disk(disk["path"], disk["name"], live=live)) for disk in disks]


def _describe(source, disk, used):
    return {"name": source.name, "path": source.path, "size": source.size, "used": used.ranges.total, "table": disk.table,
            "parts": plain(used.parts)}


def run_restore(spec, progress):
    """Restore disks of one image. Raises RepositoryError, TargetError.

    Returns {"changed", "image": ImageInfo, "disks": [RestoredDisk], "bytes"}.
    """
    targets = {disk["name"]: disk["path"] for disk in spec["disks"]}
    with opened(spec) as repository:
        image = find_image(repository, spec["machine"], spec.get("image") or "latest")
        force = bool(spec.get("force"))
        checked = check_targets(image, targets, force)
        if spec.get("check"):
            return {"changed": True, "image": plain(image), "disks": checked, "bytes": 0}
        result = restore_image(repository, image.id, targets, progress, spec.get("workers") or 0, overwrite=force)
        return {"changed": True, "image": plain(image), "disks": plain(result.disks), "bytes": result.bytes}


def run_verify(spec, progress):
    """Verify images. Raises RepositoryError when it cannot be done.

    Returns {"changed": False, "verified": VerifyResult}, and when something is damaged "failed", "msg" and "error_type" too.
    """
    with opened(spec) as repository:
        progress.phase("manifests", 0)
        wanted = spec.get("images")
        if wanted is None and spec.get("machine"):
            wanted = list(image_ids(repository, spec["machine"]))
            if not wanted:
                raise RepositoryError("Machine {0} has no image in the repository at {1}.".format(spec["machine"], repository.store.label))
        result = verify(repository, wanted, spec.get("level") or "structure", progress, spec.get("workers") or 0)
    answer = {"changed": False, "verified": dict(plain(result), problems=plain(result.problems[:SHOWN_PROBLEMS]),
                                                 problem_count=len(result.problems))}
    if result.problems:
        first = result.problems[0]
        message = "{0} of {1} images are damaged ({2}); {3} problems, the first: {4}".format(
            len(result.damaged_images), len(result.images), ", ".join(result.damaged_images[:5]), len(result.problems), first.message)
        answer.update(failed=True, error_type="DamagedObjectError", msg=message)
    return answer
