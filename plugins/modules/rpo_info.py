#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: rpo_info
short_description: Tell whether the newest images of machines are as young as promised
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Compares the age of the newest image of each machine with the recovery point objective (RPO) that is promised of it. The capture
    credential suffices.
  - Machines without an image are listed, as such, so that a machine that was never captured is seen.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
  - agnostic.recovery.repository
  - agnostic.recovery.repository.capture_credential
options:
  machines:
    description: The machines to tell of. By default all that have images, with no promise.
    type: list
    elements: dict
    suboptions:
      name:
        description: The machine's name in the repository.
        type: str
        required: true
      rpo:
        description: How old its newest image may be, such as V(15m), V(24h) or V(1d12h). By default nothing is promised.
        type: str
requirements:
  - cryptography (Python library), when the repository is encrypted
notes:
  - The age of an image counts from when its capture began.
seealso:
  - module: agnostic.recovery.image_info
"""

EXAMPLES = r"""
- name: Is there an image of web1 of the last day?
  agnostic.recovery.rpo_info:
    repository:
      path: /srv/recovery
    capture_credential: "{{ dr_capture_credential }}"
    machines:
      - name: web1
        rpo: 24h
  register: dr_state
  failed_when: not dr_state.met
"""

RETURN = r"""
machines:
  description: The machines, in the order in which they were asked for. What describes an image is none where there is no image.
  returned: success
  type: list
  elements: dict
  contains:
    machine:
      description: Name of the machine.
      type: str
    images:
      description: How many images there are.
      type: int
    image:
      description: Id of the newest image that can be read.
      type: str
      sample: web1/20261122T010203Z-9f3a61c2
    created:
      description: When its capture began, UTC.
      type: str
      sample: "2026-11-22T01:02:03Z"
    age:
      description: Seconds since then.
      type: int
    consistency:
      description: What it promises, such as V(application).
      type: str
    size:
      description: Bytes of all disks.
      type: int
    used:
      description: Bytes that were captured.
      type: int
    stored_new:
      description: Bytes that it added to the repository.
      type: int
    growth_per_day:
      description: Bytes that a day of captures adds, over the last ten images. None with fewer than two.
      type: int
    rpo:
      description: Seconds that are promised, or none.
      type: int
    met:
      description: Whether the promise is kept; none without a promise. A machine without an image keeps none.
      type: bool
    recoverable:
      description:
        - Where that image said that the machine can be recovered, for each target profile V(as_is), V(with_changes), V(no) or
          V(not_judged). Empty where nothing was judged.
      type: dict
      sample: {kvm: with_changes, aws-nitro: "no"}
met:
  description: Whether all promises are kept.
  returned: success
  type: bool
metrics:
  description: The same as samples in the text format of Prometheus, a line each, to be sorted and written to a file.
  returned: success
  type: list
  elements: str
  sample: ['agnostic_recovery_rpo_met{machine="web1"} 1']
damaged:
  description: Manifests that could not be read, in words. Their images count as if they were not there.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.options import CAPTURE_KEY_SPEC, REPOSITORY_SPEC
from ..module_utils.job.plain import plain
from ..module_utils.job.promises import list_states
from ..module_utils.runbook.rpo import metrics


def main():
    module = AnsibleModule(
        argument_spec=dict(
            REPOSITORY_SPEC,
            machines={"type": "list", "elements": "dict", "options": {
                "name": {"type": "str", "required": True}, "rpo": {"type": "str"}}},
            **CAPTURE_KEY_SPEC
        ),
        mutually_exclusive=[sorted(CAPTURE_KEY_SPEC)],
        supports_check_mode=True,
    )
    try:
        states, damaged = list_states(module.params)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    module.exit_json(changed=False, machines=plain(states), met=all(state.met is not False for state in states), metrics=metrics(states),
                     damaged=damaged)


if __name__ == "__main__":
    main()
