#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: openstack_quota_info
short_description: Tells what the quotas of an OpenStack project still allow
version_added: 1.1.0
description:
  - Tells how much of each kind may still be made in the project in which one is signed in.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
  - agnostic.recovery.openstack_cloud
"""

EXAMPLES = r"""
- name: Is there room for the recovery?
  agnostic.recovery.openstack_quota_info:
    cloud: recovery
  register: quota
"""

RETURN = r"""
room:
  description: How much may still be made. Null where there is no limit, or the cloud does not tell.
  returned: success
  type: dict
  contains:
    servers:
      description: Servers.
      type: int
    cores:
      description: Virtual processors.
      type: int
    memory:
      description: MiB of memory.
      type: int
    volumes:
      description: Volumes.
      type: int
    gigabytes:
      description: GiB of volumes.
      type: int
    ports:
      description: Ports.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.target.openstack_cloud import connection
from ..module_utils.target.openstack_quota import free_quotas


def main():
    module = AnsibleModule(argument_spec=dict(cloud=dict(type="str", default="")), supports_check_mode=True)
    try:
        with connection(module.params["cloud"]) as connected:
            room = free_quotas(connected)
    except RecoveryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, room=room)


if __name__ == "__main__":
    main()
