#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: recovery_plan
short_description: Tells where a machine can be recovered, and what is in the way elsewhere
version_added: 1.1.0
description:
  - Inspects a machine and plans the fix-ups of M(agnostic.recovery.recovery_fixup) for every target profile, without making them.
  - It does so for the running Linux host itself, in peace time, when what is missing can still be installed; or for the mounted root of a
    restored machine.
  - M(agnostic.recovery.image_capture) does the same when it captures the running host, and keeps the result in the image.
  - Nothing is written and no program of the machine runs. Of a running host only what lies on its own disks is read, so a file server
    that does not answer holds nothing up.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
options:
  root:
    description:
      - Directory where the root file system of a recovery image is mounted, with all its other file systems.
      - By default the root of the running host is judged, with the disks that M(agnostic.recovery.image_capture) would capture.
    type: path
  disks:
    description:
      - The disks of O(root) as they were captured, each with its name, partitions and contents, as the machine model and the module
        M(agnostic.recovery.recovery_mount) give them.
      - Without them what fix-ups do about names of disks, and what disks cannot be started by, is not known.
    type: list
    elements: dict
  exclude:
    description: Patterns of what is not part of the running host, as of M(agnostic.recovery.image_capture).
    type: list
    elements: str
  targets:
    description: Names of the target profiles. By default all of them.
    type: list
    elements: str
    choices: [aws-nitro, aws-xen, azure, gcp, hyperv-gen1, hyperv-gen2, kvm, ncloud-kvm, ncloud-xen, openstack, vmware]
notes:
  - Judging the running host needs root.
  - The plan is made for the machine's own addresses and for all kinds of firmware that a target offers. To see what other settings would
    change, run M(agnostic.recovery.recovery_fixup) with O(agnostic.recovery.recovery_fixup#module:state=planned).
requirements:
  - lvm2, where the running host uses LVM
seealso:
  - module: agnostic.recovery.recovery_fixup
  - module: agnostic.recovery.image_capture
  - module: agnostic.recovery.image_info
"""

EXAMPLES = r"""
- name: Where can this server be recovered?
  agnostic.recovery.recovery_plan:
  become: true
  register: plan

- name: It must be able to come up on AWS
  ansible.builtin.assert:
    that: plan.recoverable['aws-nitro'] in ['as_is', 'with_changes']
    fail_msg: "{{ plan.targets | selectattr('target', '==', 'aws-nitro') | map(attribute='findings') | first }}"

- name: What would be changed in the mounted image?
  agnostic.recovery.recovery_plan:
    root: "{{ mounted.root }}"
    disks: "{{ mounted.disks }}"
    targets: [openstack, kvm]
"""

RETURN = r"""
recoverable:
  description:
    - The verdict for each target.
    - V(as_is), it boots there as it is. V(with_changes), it boots there once the fix-ups have changed its recovery image. V(no), it will
      not do there all that it did before, until what the findings of severity V(error) say is done. V(not_judged), nobody knows.
  returned: success
  type: dict
  sample: {kvm: with_changes, aws-nitro: "no"}
notes:
  description: What holds for all targets.
  returned: success
  type: list
  elements: str
targets:
  description: The targets, in the order in which they were asked for.
  returned: success
  type: list
  elements: dict
  contains:
    target:
      description: Name of the target profile.
      type: str
      sample: aws-nitro
    verdict:
      description: As in C(recoverable).
      type: str
      sample: "no"
    reason:
      description: Why it was not judged, or empty.
      type: str
    findings:
      description: What no change can mend, and what could not be read, each with C(fixup), C(severity) and C(text).
      type: list
      elements: dict
    changes:
      description: Every change that would be made, each with C(fixup), C(path), C(reason) and C(action).
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.fixup.change import Plan, plan_data
from ..module_utils.fixup.recoverability import judge
from ..module_utils.job.recoverability import judge_host
from ..module_utils.machine.data import from_data
from ..module_utils.machine.model import Disk
from ..module_utils.machine.tree import Tree
from ..module_utils.target.profile import PROFILES


def main():
    module = AnsibleModule(
        argument_spec=dict(
            root=dict(type="path"),
            disks=dict(type="list", elements="dict"),
            exclude=dict(type="list", elements="str"),
            targets=dict(type="list", elements="str", choices=sorted(PROFILES)),
        ),
        required_by=dict(disks=("root",)),
        mutually_exclusive=[("root", "exclude")],
        supports_check_mode=True,
    )
    profiles = [PROFILES[name] for name in module.params["targets"] or PROFILES]
    try:
        if module.params["root"]:
            disks = [from_data(Disk, disk) for disk in module.params["disks"] or ()]
            notes, found = [], list(judge(Tree(module.params["root"]), disks, profiles))
        else:
            notes, found = judge_host(module.params["exclude"] or (), profiles)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    module.exit_json(
        changed=False, notes=notes, recoverable={judgement.target: judgement.verdict for judgement in found},
        targets=[described(judgement) for judgement in found])


def described(judgement):
    data = plan_data(Plan(judgement.target, judgement.changes, judgement.findings))
    return dict(data, verdict=judgement.verdict, reason=judgement.reason)


if __name__ == "__main__":
    main()
