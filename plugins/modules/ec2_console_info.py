#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: ec2_console_info
short_description: Read what an EC2 instance has written to its console
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Returns the last 64 KiB that an instance has written to its serial console, for the report of a recovery.
  - An instance built on the Nitro System is asked for what it shows now. Of others AWS gives what they wrote when they were last started
    or stopped.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
  - agnostic.recovery.aws
options:
  instance_id:
    description: Id of the instance.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: See how far the machine has come
  agnostic.recovery.ec2_console_info:
    region: eu-central-1
    instance_id: i-0123456789abcdef0
  register: shown
"""

RETURN = r"""
console:
  description: What the instance has written. Empty where AWS has nothing yet.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.options import AWS_SPEC
from ..module_utils.target.aws import AwsPlace
from ..module_utils.target.ec2_console import read_console


def main():
    module = AnsibleModule(argument_spec=dict(AWS_SPEC, instance_id=dict(type="str", required=True)), supports_check_mode=True)
    place = AwsPlace(**{name: module.params[name] for name in AwsPlace._fields if module.params[name] is not None})
    try:
        console = read_console(place, module.params["instance_id"])
    except RecoveryError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, console=console)


if __name__ == "__main__":
    main()
