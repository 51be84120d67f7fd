# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "replicate": images of one repository into another place."""

from ..errors import RepositoryError
from ..image.manifest import image_ids
from ..image.pace import Pace
from ..image.replicate import replicate
from ..image.retention import Policy, reasons_to_keep
from ..repository.open import open_store
from .opening import key_of, opened
from .plain import plain


def run_replicate(spec, progress):
    """Bring what is missing to the target. Raises RepositoryError, DamagedObjectError.

    Returns {"changed", "replicated": ReplicateResult}.
    """
    with opened(spec) as source, open_store(spec["target"]) as target:
        progress.phase("images", 0)
        result = replicate(source, target, key_of(spec), progress, _wanted(spec, source), spec.get("workers") or 0,
                           Pace(spec.get("limit") or 0, progress.cancelled), bool(spec.get("check")))
    return {"changed": bool(result.images or result.made), "replicated": plain(result)}


def _wanted(spec, source):
    if spec.get("images") is not None:
        return spec["images"]
    ids = list(image_ids(source, spec.get("machine")))
    if spec.get("machine") and not ids:
        raise RepositoryError("Machine {0} has no image in the repository at {1}.".format(spec["machine"], source.store.label))
    if spec.get("within_days"):
        reasons = reasons_to_keep(ids, Policy(within=spec["within_days"] * 86400))
        ids = [image_id for image_id in ids if reasons[image_id]]
    return ids
