#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: repository_credential
short_description: Export the capture credential of a repository
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Returns the text with which sources write images and can read none. It is a secret, and never written to a file.
  - The task must say C(no_log=true), or it fails. What it registers as can be used, but is not shown.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.repository
attributes:
  check_mode:
    support: full
    details: Changes nothing in either mode.
  diff_mode:
    support: none
requirements:
  - cryptography (Python library)
seealso:
  - module: agnostic.recovery.image_capture
  - module: agnostic.recovery.repository_init
"""

EXAMPLES = r"""
- name: Get the capture credential
  agnostic.recovery.repository_credential:
    repository:
      path: /srv/recovery
    key_file: /root/recovery.key
  delegate_to: worker
  register: credential
  no_log: true
"""

RETURN = r"""
capture_credential:
  description: One line of text.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.initialise import capture_credential
from ..module_utils.job.options import KEY_SPEC, REPOSITORY_SPEC


def main():
    module = AnsibleModule(
        argument_spec=dict(REPOSITORY_SPEC, **KEY_SPEC),
        mutually_exclusive=[sorted(KEY_SPEC)],
        required_one_of=[sorted(KEY_SPEC)],
        supports_check_mode=True,
    )
    if not module.no_log:
        module.fail_json(msg="The result of this task is a secret: say no_log: true for it.")
    try:
        credential = capture_credential(module.params)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    module.exit_json(changed=False, capture_credential=credential)


if __name__ == "__main__":
    main()
