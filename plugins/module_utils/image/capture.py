# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capture: from disks that stand still and their used ranges to a committed image. Nothing is locked against other captures."""

from typing import Optional, Sequence

from ..repository.repository import Repository
from .diskread import CaptureDisk
from .manifest import ImageInfo
from .pace import NO_LIMITS, Limits
from .writer import ImageWriter, check_manifest_data


def capture_image(repository: Repository, machine_name: str, machine: dict, disks: Sequence[CaptureDisk], consistency: str, evidence: dict,
                  progress, workers: int = 0, limits: Limits = NO_LIMITS, recoverability: Optional[dict] = None) -> ImageInfo:
    """Store one consistent image of all `disks` and commit it.

    Raises SourceError when a disk cannot be read, RepositoryError when the repository cannot take it, CancelledError; in each
    case there is no image, and what was stored so far is found again by the next capture.
    """
    check_manifest_data(consistency, machine, evidence)
    writer = ImageWriter(repository, machine_name, progress, workers)
    writer.first_pass(disks, limits)
    return writer.commit(machine, consistency, evidence, recoverability)
