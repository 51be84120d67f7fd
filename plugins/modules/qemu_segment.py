#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: qemu_segment
short_description: Keeps a network segment that recovered machines in QEMU share
version_added: 1.1.0
description:
  - Guests of M(agnostic.recovery.qemu_guest) whose cards are connected to a segment reach each other under their own addresses, as the
    servers of an application must.
  - A segment is isolated by default. Its guests reach nothing outside, and this host reaches them only by their forwarded ports.
  - Its switch is C(vde_switch) on sockets that only their owner reaches, so nothing leaves the host.
  - The segment stays when the task has ended, but never longer than O(lifetime).
author:
  - the agnostic.recovery developers (@agnostic-recovery)
requirements:
  - QEMU 5.2 or newer with VDE, as Debian, Ubuntu and Fedora have it, on the host that runs the guests
  - C(vde_switch) (package C(vde-switch) or C(vde2))
extends_documentation_fragment:
  - agnostic.recovery.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  state:
    description:
      - V(started) starts the segment, unless exactly this one runs already.
      - V(absent) ends it and proves that nothing of it is left. End its guests first.
    type: str
    choices: [started, absent]
    default: started
  run_dir:
    description: Directory of the segment, an absolute path. It belongs to this segment alone.
    type: path
    required: true
  network:
    description: IPv4 network of the segment.
    type: str
    default: 192.0.2.0/24
  gateway:
    description: Address of the gateway. The first address of O(network) by default.
    type: str
    default: ''
  isolated:
    description: Guests reach nothing outside. Turn this off only for machines that may reach production.
    type: bool
    default: true
  lifetime:
    description: Seconds after which the segment is ended, whatever happens.
    type: int
    default: 3600
seealso:
  - module: agnostic.recovery.qemu_guest
"""

EXAMPLES = r"""
- name: Let the recovered servers of the shop reach each other, and nothing else
  agnostic.recovery.qemu_segment:
    run_dir: /var/lib/agnostic.recovery/machines/drill-20261122T010203Z-4f2a/segment-shop
    network: 192.0.2.0/24
    lifetime: 7200
"""

RETURN = r"""
segment:
  description: Directory of the segment, for the option C(nics[].segment) of M(agnostic.recovery.qemu_guest).
  returned: always
  type: str
proofs:
  description: What was checked after the segment had been ended, one sentence each.
  returned: with O(state=absent), not in check mode
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.target import qemu_segment


def main():
    module = AnsibleModule(
        argument_spec=dict(
            state=dict(type="str", choices=["started", "absent"], default="started"),
            run_dir=dict(type="path", required=True),
            network=dict(type="str", default="192.0.2.0/24"),
            gateway=dict(type="str", default=""),
            isolated=dict(type="bool", default=True),
            lifetime=dict(type="int", default=3600),
        ),
        supports_check_mode=True,
    )
    run_dir = module.params["run_dir"]
    result = dict(segment=run_dir)
    try:
        if module.params["state"] == "started":
            segment = qemu_segment.Segment(**{name: module.params[name] for name in qemu_segment.Segment._fields})
            result["changed"] = qemu_segment.would_start(segment) if module.check_mode else qemu_segment.start(segment)[1]
        elif module.check_mode:
            result["changed"] = os.path.isdir(run_dir)
        else:
            result["changed"], proofs = qemu_segment.remove(run_dir)
            result["proofs"] = list(proofs)
    except (RecoveryError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
