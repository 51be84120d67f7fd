# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images of a repository as plain data."""

from ..image.manifest import find_image, list_images, read_manifest
from .opening import opened
from .plain import plain


def list_named(options):
    """(images, messages on manifests that are damaged) for the options of the module image_info. Raises RepositoryError."""
    damaged = []
    with opened(options) as repository:
        if options["image"]:
            found = [find_image(repository, options["machine"], options["image"])]
        else:
            found = list_images(repository, options["machine"], damaged)
        if options["latest"]:
            # The oldest come first within a machine, so the last of each stays.
            found = list({image.machine: image for image in found}.values())
        images = [plain(image) for image in found]
        if options["machine_model"]:
            for image in images:
                manifest = read_manifest(repository, image["id"])
                image.update(machine_model=manifest.machine, evidence=manifest.evidence, recoverability=manifest.recoverability)
    return images, damaged
