# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the machines of a repository stand beside what is promised of them."""

import time
from collections import OrderedDict

from ..errors import DamagedObjectError
from ..image.manifest import image_ids, read_manifest
from ..runbook.rpo import GROWTH_IMAGES, machine_state
from .opening import opened


def list_states(options):
    """([MachineState], messages on manifests that are damaged) for the options of the module rpo_info, in the order that was asked for.

    Reads few manifests a machine, however many images there are. Raises RepositoryError, PromiseError.
    """
    damaged = []
    now = time.time()
    with opened(options) as repository:
        asked = OrderedDict((machine["name"], machine.get("rpo") or "") for machine in options["machines"] or ())
        if options["machines"] is None:
            asked = OrderedDict((image_id.rpartition("/")[0], "") for image_id in image_ids(repository))
        states = []
        for machine, promised in asked.items():
            ids = list(image_ids(repository, machine))
            states.append(machine_state(machine, len(ids), _newest(repository, ids, damaged), promised, now))
    return states, damaged


def _newest(repository, ids, damaged):
    found = []
    for image_id in reversed(ids):
        if len(found) == GROWTH_IMAGES:
            break
        try:
            found.append(read_manifest(repository, image_id).info)
        except DamagedObjectError as error:
            damaged.append(str(error))
    return found[::-1]
