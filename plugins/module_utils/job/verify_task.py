# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job "verify": whether images are whole."""

from ..errors import RepositoryError
from ..image.manifest import image_ids
from ..image.verify import PARTS, verify
from .opening import opened
from .plain import plain

SHOWN_PROBLEMS = 100


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
        result = verify(repository, wanted, spec.get("level") or "structure", progress, spec.get("workers") or 0,
                        spec.get("parts") or PARTS, spec.get("part"))
    answer = {"changed": False, "verified": dict(plain(result), problems=plain(result.problems[:SHOWN_PROBLEMS]),
                                                 problem_count=len(result.problems))}
    if result.problems:
        first = result.problems[0]
        message = "{0} of {1} images are damaged ({2}); {3} problems, the first: {4}".format(
            len(result.damaged_images), len(result.images), ", ".join(result.damaged_images[:5]), len(result.problems), first.message)
        answer.update(failed=True, error_type="DamagedObjectError", msg=message)
    return answer
