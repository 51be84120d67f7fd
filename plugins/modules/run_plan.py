#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: run_plan
short_description: Plans a drill or failover before anything happens
version_added: 1.1.0
description:
  - Chooses the image of each machine, orders the machines by waves, and says what speaks against the plan, such as machines without an
    image, addresses that clash, images that are older than was promised, or a key that cannot restore.
  - The plan's id stands for all that would be done. Whoever confirms an id confirms exactly that.
  - Nothing is changed.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.repository
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
options:
  kind:
    description: Kind of the run.
    type: str
    choices: [drill, failover]
    required: true
  machines:
    description: What is wanted of each machine.
    type: list
    elements: dict
    required: true
    suboptions:
      machine:
        description: Name of the machine in the repository.
        type: str
        required: true
      wave:
        description: Waves recover one after the other, in ascending order.
        type: int
        default: 1
      required:
        description: Later waves wait for this machine to serve.
        type: bool
        default: true
      image:
        description: V(latest), an image's id, or a time in UTC for the last image before it.
        type: str
        default: latest
      provider:
        description: Where the machine is recovered.
        type: str
        default: qemu
      target:
        description: Target profile.
        type: str
        default: kvm
      worker:
        description: Inventory host that restores it.
        type: str
        default: localhost
      cloud:
        description: Entry of C(clouds.yaml) in which the machine is made, where its provider needs one.
        type: str
        default: ''
      path:
        description: Which way of several that its provider has, such as V(cinder) or V(glance).
        type: str
        default: ''
      size:
        description: Size of the recovered machine, as the provider understands it.
        type: dict
        default: {}
      network:
        description: Its network at the target, as the role C(recover) takes it in C(dr_network).
        type: dict
        default: {}
      rpo:
        description: How old the image may be, such as V(24h). Empty where nothing is promised.
        type: str
        default: ''
      checks:
        description: Names of its checks.
        type: list
        elements: str
        default: []
  places:
    description:
      - What room there is where the machines are recovered, as M(agnostic.recovery.worker_info) and M(agnostic.recovery.openstack_quota_info)
        tell it. Too little is a warning.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: What it is.
        type: str
        choices: [worker, cloud]
        required: true
      name:
        description: Its name, as O(machines[].worker) and O(machines[].cloud) have it.
        type: str
        required: true
      room:
        description: How much is free of C(bytes), C(memory) in MiB, C(servers), C(cores), C(volumes), C(gigabytes), C(ports). Null is no limit.
        type: dict
        default: {}
      problem:
        description: Why nobody knows.
        type: str
        default: ''
"""

EXAMPLES = r"""
- name: What would a failover do?
  agnostic.recovery.run_plan:
    repository:
      type: s3
      bucket: recovery
    passphrase: "{{ dr_repository_passphrase }}"
    kind: failover
    machines:
      - machine: db
        wave: 1
        rpo: 1h
        checks: [orders]
      - machine: web
        wave: 2
        checks: [page]
  register: planned

- name: Show it
  ansible.builtin.debug:
    msg: "{{ planned.lines }}"
"""

RETURN = r"""
plan:
  description: The plan as data.
  returned: success
  type: dict
  contains:
    id:
      description: Stands for all that would be done.
      type: str
      sample: plan-3f9a2b11c0
    kind:
      description: Kind of the run.
      type: str
    waves:
      description: Numbers of the waves, in order.
      type: list
      elements: int
    machines:
      description: The machines by wave, each with C(wanted), C(image), C(age) in seconds, and C(verdict) of its capture on the target.
      type: list
      elements: dict
    findings:
      description: What speaks against the plan, each with C(level) (V(error) or V(warning)), C(machine) and C(text).
      type: list
      elements: dict
images:
  description: Machine to the id of its image, for those that have one.
  returned: success
  type: dict
runnable:
  description: Whether there is no error.
  returned: success
  type: bool
lines:
  description: The plan as text for an operator.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.options import KEY_SPEC, REPOSITORY_SPEC
from ..module_utils.job.plain import plain
from ..module_utils.job.run_planning import plan_run
from ..module_utils.runbook.plan import KINDS, plan_lines

MACHINE = dict(
    machine=dict(type="str", required=True),
    wave=dict(type="int", default=1),
    required=dict(type="bool", default=True),
    image=dict(type="str", default="latest"),
    provider=dict(type="str", default="qemu"),
    target=dict(type="str", default="kvm"),
    worker=dict(type="str", default="localhost"),
    cloud=dict(type="str", default=""),
    path=dict(type="str", default=""),
    size=dict(type="dict", default={}),
    network=dict(type="dict", default={}),
    rpo=dict(type="str", default=""),
    checks=dict(type="list", elements="str", default=[]),
)
PLACE = dict(
    kind=dict(type="str", choices=["worker", "cloud"], required=True),
    name=dict(type="str", required=True),
    room=dict(type="dict", default={}),
    problem=dict(type="str", default=""),
)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            REPOSITORY_SPEC,
            kind=dict(type="str", choices=list(KINDS), required=True),
            machines=dict(type="list", elements="dict", required=True, options=MACHINE),
            places=dict(type="list", elements="dict", default=[], options=PLACE),
            **KEY_SPEC
        ),
        mutually_exclusive=[sorted(KEY_SPEC)],
        supports_check_mode=True,
    )
    try:
        plan = plan_run(module.params)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    images = {planned.wanted.machine: planned.image.id for planned in plan.machines if planned.image}
    module.exit_json(changed=False, plan=dict(plain(plan), waves=plan.waves), images=images, runnable=plan.runnable, lines=plan_lines(plan))


if __name__ == "__main__":
    main()
