#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: repository_epoch
short_description: Begin a new epoch of a repository's keys
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Gives the repository a new private key, so that whoever has a copy of the old one cannot read what is captured from then on.
    A repository begins in epoch 1.
  - First take away the slots of those who must not follow, with M(agnostic.recovery.repository_key). All slots that are left open the new
    epoch as well, without being touched, a printed recovery key among them. What is stored stays readable; no data is written again.
  - Capture credentials of the epoch before are refused from then on; export new ones. A capture that runs may end under the old key.
  - Ids and indexes keep their keys, so that captures go on to find duplicates. Who had a capture credential can still test whether a block
    that they know is in the repository, and read manifests and indexes.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.repository
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  number:
    description: The epoch that the repository is to be in, that is, the present one or the next.
    type: int
    required: true
requirements:
  - cryptography (Python library)
seealso:
  - module: agnostic.recovery.repository_key
"""

EXAMPLES = r"""
- name: Later captures must not be readable for who has left
  agnostic.recovery.repository_epoch:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    number: 2
"""

RETURN = r"""
before:
  description: The epoch before the task.
  returned: success
  type: int
  sample: 1
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.keyslots import ensure_epoch
from ..module_utils.job.options import KEY_SPEC, REPOSITORY_SPEC


def main():
    module = AnsibleModule(
        argument_spec=dict(REPOSITORY_SPEC, number={"type": "int", "required": True}, **KEY_SPEC),
        mutually_exclusive=[sorted(KEY_SPEC)],
        required_one_of=[sorted(KEY_SPEC)],
        supports_check_mode=True,
    )
    try:
        changed, before = ensure_epoch(module.params, module.check_mode)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    module.exit_json(changed=changed, before=before)


if __name__ == "__main__":
    main()
