#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: openstack_console_info
short_description: Reads the serial console of a server in OpenStack
version_added: 1.1.0
description:
  - Returns what a server has written to its serial console. A server that is C(ACTIVE) has not booted yet; only the console shows that.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
  - agnostic.recovery.openstack_cloud
options:
  server:
    description: Name or id of the server.
    type: str
    required: true
  lines:
    description: How many of the last lines are returned.
    type: int
    default: 1000
"""

EXAMPLES = r"""
- name: Read the console
  agnostic.recovery.openstack_console_info:
    cloud: recovery
    server: drill-20261122T010203Z-4f2a-shop
    lines: 50
  register: console
"""

RETURN = r"""
console:
  description: The text. Empty where the server has written nothing.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError, TargetError
from ..module_utils.target.openstack_cloud import connection


def read_console(cloud, name, lines):
    with connection(cloud) as connected:
        server = connected.compute.find_server(name)
        if server is None:
            raise TargetError(f"There is no server {name!r} in this cloud.")
        return connected.compute.get_server_console_output(server, length=lines)["output"] or ""


def main():
    module = AnsibleModule(
        argument_spec=dict(
            cloud=dict(type="str", default=""),
            server=dict(type="str", required=True),
            lines=dict(type="int", default=1000),
        ),
        supports_check_mode=True,
    )
    try:
        console = read_console(module.params["cloud"], module.params["server"], module.params["lines"])
    except RecoveryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, console=console)


if __name__ == "__main__":
    main()
