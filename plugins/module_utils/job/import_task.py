# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "import": one image from a ZIA file of this host into a repository."""

import os

from ..errors import SourceError
from ..image.importing import import_image
from ..image.pace import Pace
from ..repository.open import open_store
from .initialise import is_repository
from .opening import key_of
from .plain import plain


def run_import(spec, progress):
    """Import the image in the file `path`. Raises SourceError, RepositoryError.

    Returns {"changed", "made", "image": ImageInfo, "stored", "stored_objects"}.
    """
    path = spec["path"]
    try:
        file = open(path, "rb")
    except OSError as error:
        raise SourceError("The file {0} cannot be opened: {1}.".format(path, error.strerror))
    with file, open_store(spec["repository"]) as store:
        result = import_image(
            store, is_repository(store), key_of(spec), file, path, progress, total=os.fstat(file.fileno()).st_size,
            workers=spec.get("workers") or 0, reading=Pace(spec.get("read_limit") or 0, progress.cancelled), check=bool(spec.get("check")))
    return {"changed": result.changed, "made": result.made, "image": plain(result.image), "stored": result.stored,
            "stored_objects": result.stored_objects}
