# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the machines that are wanted and a repository to the plan of a run."""

import time

from ..errors import RepositoryError
from ..image.manifest import find_image
from ..runbook.plan import Wanted, make_plan
from ..runbook.room import Place
from .opening import opened


def plan_run(options):
    """The plan for the options of the module run_plan. Raises RecoveryError where the repository cannot be opened, as with a wrong key."""
    wanted = [Wanted(**dict(machine, checks=tuple(machine["checks"]))) for machine in options["machines"]]
    images, missing = {}, {}
    with opened(options) as repository:
        for each in wanted:
            try:
                images[each.machine] = find_image(repository, each.machine, each.image)
            except RepositoryError as error:
                missing[each.machine] = str(error)
    return make_plan(options["kind"], wanted, images, missing, time.time(), [Place(**place) for place in options["places"]])
