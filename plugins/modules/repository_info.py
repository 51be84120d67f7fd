#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: repository_info
short_description: Tell what a repository is
version_added: 1.0.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Reads the root of a repository, and, when a key is given, checks that it opens the repository.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.attributes.read_only
  - agnostic.recovery.repository
  - agnostic.recovery.repository.capture_credential
requirements:
  - cryptography (Python library), when a key is given
seealso:
  - module: agnostic.recovery.image_info
"""

EXAMPLES = r"""
- name: Does the passphrase open the repository?
  agnostic.recovery.repository_info:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
"""

RETURN = r"""
repository:
  description: The repository.
  returned: success
  type: dict
  contains:
    id:
      description: The repository's id.
      type: str
    chunk_size:
      description: Bytes of a chunk.
      type: int
    encrypted:
      description: Whether it is encrypted.
      type: bool
    created:
      description: When it was made, UTC.
      type: str
    format_version:
      description: Version of the format.
      type: int
access:
  description:
    - What the key gives access to; V(read) means writing too.
    - V(none) when the repository is encrypted and no key was given.
  returned: success
  type: str
  sample: read
slots:
  description: The key slots of an encrypted repository. No key is needed to list them.
  returned: success
  type: list
  elements: dict
  version_added: 1.1.0
  contains:
    name:
      description: Name of the slot's object.
      type: str
    label:
      description: Its label.
      type: str
    type:
      description: V(scrypt), V(pbkdf2-hmac-sha512), V(key-file) or V(command).
      type: str
    created:
      description: When it was made, UTC.
      type: str
    problem:
      description: Why it cannot be read, or empty.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.initialise import describe_repository
from ..module_utils.job.options import CAPTURE_KEY_SPEC, REPOSITORY_SPEC


def main():
    module = AnsibleModule(
        argument_spec=dict(REPOSITORY_SPEC, **CAPTURE_KEY_SPEC),
        mutually_exclusive=[sorted(CAPTURE_KEY_SPEC)],
        supports_check_mode=True,
    )
    try:
        repository, access, slots = describe_repository(module.params)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    module.exit_json(changed=False, repository=repository, access=access, slots=slots)


if __name__ == "__main__":
    main()
