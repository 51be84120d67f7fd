# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "prune": which images go by a policy, and all that no image needs then."""

from ..image.manifest import image_ids
from ..image.prune import check_images, prune
from ..image.retention import Policy, reasons_to_keep
from ..repository.sessions import SILENT_SECONDS
from .opening import opened
from .plain import plain

DAY = 86400


def run_prune(spec, progress):
    """Remove images and what nobody needs. Raises RepositoryError, DamagedObjectError; then nothing that is needed was deleted.

    Returns {"changed", "pruned": PruneResult, "kept": {image id: reasons}}.
    """
    with opened(spec) as repository:
        progress.phase("images", 0)
        named = spec.get("images") or []
        check_images(repository, named)
        kept = _kept(spec, repository)
        remove = sorted(set(named) | {image_id for image_id, reasons in kept.items() if not reasons})
        result = prune(repository, remove, progress, spec.get("workers") or 0, bool(spec.get("check")),
                       silent=(spec.get("silent_days") or 0) * DAY or SILENT_SECONDS)
    return {"changed": bool(result.removed_images or result.deleted or result.announced), "pruned": plain(result),
            "kept": {image_id: reasons for image_id, reasons in kept.items() if image_id not in remove}}


def _kept(spec, repository):
    """{image id: why it is kept} by the policy; {} where no policy is given."""
    keep = {name: value for name, value in (spec.get("keep") or {}).items() if value}
    if not keep:
        return {}
    keep["within"] = keep.pop("within_days", 0) * DAY
    ids = list(image_ids(repository, spec.get("machine")))
    return reasons_to_keep(ids, Policy(**keep), spec.get("protect") or (), last_image=not spec.get("force"))
