#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: worker_info
short_description: Tells what a worker has room for
version_added: 1.1.0
description:
  - Tells the free space of the file system on which a folder is, or would be made, the memory that programs can take, and the processors.
author:
  - the agnostic.recovery developers (@agnostic-recovery)
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
options:
  path:
    description: The folder.
    type: path
    default: /var/lib/agnostic.recovery
"""

EXAMPLES = r"""
- name: What has worker1 room for?
  agnostic.recovery.worker_info:
  delegate_to: worker1
  register: worker
"""

RETURN = r"""
worker:
  description: What it has.
  returned: success
  type: dict
  contains:
    path:
      description: The folder.
      type: str
    free:
      description: Bytes that root may still write there.
      type: int
    memory:
      description: MiB that programs can take without swapping.
      type: int
    cpus:
      description: Processors.
      type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.plain import plain
from ..module_utils.target.worker import room


def main():
    module = AnsibleModule(argument_spec=dict(path=dict(type="path", default="/var/lib/agnostic.recovery")), supports_check_mode=True)
    try:
        found = room(module.params["path"])
    except RecoveryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, worker=plain(found))


if __name__ == "__main__":
    main()
