#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: image_info
short_description: List the images of a repository
version_added: 1.0.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Lists images, all or those that are asked for. The capture credential suffices.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
  - agnostic.recovery.repository
  - agnostic.recovery.repository.capture_credential
options:
  machine:
    description: Only images of this machine.
    type: str
  image:
    description:
      - Only one image of O(machine), V(latest), an image id, or a time in UTC such as V(2026-11-22T01:00:00Z) for the last one that was
        captured at or before it. The task fails if there is none.
      - Needs O(machine).
    type: str
  latest:
    description: Only the latest image of each machine.
    type: bool
    default: false
  machine_model:
    description:
      - Tell also what is known of the machine, under C(machine_model) of each image, what shows its consistency, and why it can be
        recovered on some targets and not on others.
    type: bool
    default: false
requirements:
  - cryptography (Python library), when the repository is encrypted
seealso:
  - module: agnostic.recovery.image_capture
  - module: agnostic.recovery.image_restore
"""

EXAMPLES = r"""
- name: Which images of web1 are there?
  agnostic.recovery.image_info:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    machine: web1
  register: dr_images

- name: Which one would be restored for the state of last night?
  agnostic.recovery.image_info:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    machine: web1
    image: "2026-11-22T01:00:00Z"

- name: Why can web1 not be recovered on AWS?
  agnostic.recovery.image_info:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    machine: web1
    image: latest
    machine_model: true
  register: dr_latest

- name: Show what is in the way, and what to do
  ansible.builtin.debug:
    msg: "{{ dr_latest.images[0].recoverability.targets | selectattr('target', '==', 'aws-nitro') | map(attribute='errors') | first }}"
"""

RETURN = r"""
images:
  description: The images, by machine, the oldest first.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The image's id.
      type: str
      sample: web1/20261122T010203Z-9f3a61c2
    machine:
      description: Name of the machine.
      type: str
    created:
      description: When the capture began, UTC.
      type: str
      sample: "2026-11-22T01:02:03Z"
    consistency:
      description: What the image promises, such as V(offline).
      type: str
    parent:
      description: Id of the image before it, or empty.
      type: str
    disks:
      description: The disks, each with C(name), C(size), C(sector_size), C(used) and C(data), the last three in bytes.
      type: list
      elements: dict
    size:
      description: Bytes of all disks.
      type: int
    used:
      description: Bytes that were captured.
      type: int
    stored_new:
      description: Bytes that the capture added to the repository.
      type: int
    stored_new_objects:
      description: Objects that the capture added to the repository.
      type: int
    seconds:
      description: How long the capture took.
      type: float
    warnings:
      description: What the capture warned of.
      type: list
      elements: str
    recoverable:
      description:
        - Where the machine could be recovered when it was captured, for each target profile V(as_is), V(with_changes), V(no) or
          V(not_judged). Empty where nothing was judged.
      type: dict
      sample: {kvm: with_changes, aws-nitro: "no"}
    machine_model:
      description: What is known of the machine.
      type: dict
      returned: when O(machine_model=true)
    evidence:
      description:
        - What shows the consistency, such as how long which file system stood still, and C(window), when that began and ended, in
          seconds since 1970 by the clock of the host.
      type: dict
      returned: when O(machine_model=true)
    recoverability:
      description:
        - What C(recoverable) says, with C(reason) if nothing was judged, C(notes), and C(targets), a list with C(target), C(verdict),
          C(changes), C(errors), C(more_errors), C(warnings), C(more_warnings) and C(reason). The errors are sentences that say what is in
          the way and what to do.
      type: dict
      returned: when O(machine_model=true)
damaged:
  description: Manifests that could not be read, in words. A damaged image that was asked for by O(image) fails the task instead.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.listing import list_named
from ..module_utils.job.options import CAPTURE_KEY_SPEC, REPOSITORY_SPEC


def main():
    module = AnsibleModule(
        argument_spec=dict(
            REPOSITORY_SPEC,
            machine={"type": "str"},
            image={"type": "str"},
            latest={"type": "bool", "default": False},
            machine_model={"type": "bool", "default": False},
            **CAPTURE_KEY_SPEC
        ),
        mutually_exclusive=[sorted(CAPTURE_KEY_SPEC)],
        required_by={"image": ["machine"]},
        supports_check_mode=True,
    )
    try:
        images, damaged = list_named(module.params)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    module.exit_json(changed=False, images=images, damaged=damaged)


if __name__ == "__main__":
    main()
