# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "export": one image of a repository as one file of this host."""

import os

from ..errors import RecoveryError, TargetError
from ..image.exporting import export_image
from ..image.importing import read_identity
from ..image.manifest import find_image
from ..image.pace import Pace
from .opening import opened
from .plain import plain


def run_export(spec, progress):
    """Write one image to the file `path`. Raises RepositoryError, TargetError.

    Returns {"changed", "image": ImageInfo, "path", "size", "objects"}; size and objects are 0 where nothing was written.
    """
    path, force = spec["path"], bool(spec.get("force"))
    with opened(spec) as repository:
        image = find_image(repository, spec["machine"], spec.get("image") or "latest")
        needed = not _holds(path, repository, image)
        if needed and not force and os.path.lexists(path):
            raise TargetError("The file {0} exists already, and is not image {1}. Remove it, or say force.".format(path, image.id))
        if spec.get("check") or not needed:
            return {"changed": needed, "image": plain(image), "path": path, "size": 0, "objects": 0}
        result = export_image(repository, image.id, path, progress, spec.get("workers") or 0,
                              Pace(spec.get("read_limit") or 0, progress.cancelled), overwrite=force)
        return {"changed": True, "image": plain(image), "path": path, "size": result.size, "objects": result.objects}


def _holds(path, repository, image):
    """Whether the file is this image. A file that has its name was whole when it got it."""
    try:
        with open(path, "rb") as file:
            return read_identity(file, path) == (repository.info.id, image.id)
    except (OSError, RecoveryError):
        return False
