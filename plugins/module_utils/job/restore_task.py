# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "restore": disks of one image onto disks of this host."""

from ..image.manifest import find_image
from ..image.pace import Pace
from ..image.restore import restore_image
from .opening import opened
from .plain import plain
from .targets import check_targets


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
        result = restore_image(repository, image.id, targets, progress, spec.get("workers") or 0, overwrite=force,
                               writing=Pace(spec.get("write_limit") or 0, progress.cancelled))
        return {"changed": True, "image": plain(image), "disks": plain(result.disks), "bytes": result.bytes}
