#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: openstack_disk_info
short_description: Tells which disk of this server is which Cinder volume
version_added: 1.1.0
description:
  - Waits until volumes that were attached to this server are disks of it, and tells their paths.
  - Disks are known by their serial number, which is the volume's id. The device name that OpenStack's API tells is a guess and is not used.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
options:
  volumes:
    description: Ids of the volumes.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds to wait for them.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Find the disk
  agnostic.recovery.openstack_disk_info:
    volumes: [0d5f1c4e-6f6c-4a3b-93c2-1f9e5b7a2d11]
  register: attached

- name: Show it
  ansible.builtin.debug:
    msg: "{{ attached.disks[0].path }}"
"""

RETURN = r"""
disks:
  description: The disks, in the order of O(volumes).
  returned: success
  type: list
  elements: dict
  contains:
    volume:
      description: Id of the volume.
      type: str
    path:
      description: Path of the disk.
      type: str
      sample: /dev/vdb
    size:
      description: Its size in bytes.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.machine.data import to_data
from ..module_utils.target.openstack_disks import wait_for_disks


def main():
    module = AnsibleModule(
        argument_spec=dict(
            volumes=dict(type="list", elements="str", required=True),
            timeout=dict(type="int", default=60),
        ),
        supports_check_mode=True,
    )
    try:
        disks = wait_for_disks(module.params["volumes"], module.params["timeout"])
    except RecoveryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, disks=to_data(tuple(disks)))


if __name__ == "__main__":
    main()
