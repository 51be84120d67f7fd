#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: repository_init
short_description: Make a repository for images
version_added: 1.0.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Makes a repository in an empty place, or, where there is one, checks that the key opens it.
  - Encryption is the default. Whoever loses all its keys loses all images, so keep a passphrase or key file apart from the site.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.repository
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
options:
  key_file:
    description:
      - A key file that opens the repository; a path on the host.
      - When it does not exist and the repository is made, the file is made too, with 32 random bytes and access for its owner only.
  unencrypted:
    description:
      - Make a repository that is not encrypted. Anyone who can read its place can read every machine in it.
      - Exactly one of O(passphrase), O(key_file) and this is needed.
    type: bool
    default: false
  chunk_size:
    description:
      - Bytes of a chunk, a power of two. It can be chosen when the repository is made, and never be changed.
      - By default it is the one that is best for most.
    type: int
  capture_credential_file:
    description:
      - Write the capture credential to this file on the host, with access for its owner only. Whoever holds it can write images and
        can read none, so it is what sources get.
    type: path
requirements:
  - "cryptography (Python library), unless O(unencrypted=true)"
  - boto3 (Python library) for V(s3), openstacksdk (Python library) for V(swift)
seealso:
  - module: agnostic.recovery.repository_info
  - module: agnostic.recovery.image_capture
"""

EXAMPLES = r"""
- name: Make an encrypted repository
  agnostic.recovery.repository_init:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    capture_credential_file: /root/recovery.capture

- name: Make a repository in a bucket of an S3 server of one's own, and the bucket if need be
  agnostic.recovery.repository_init:
    repository:
      type: s3
      endpoint_url: https://s3.example.org
      ca_bundle: /etc/ssl/example-ca.pem
      bucket: recovery
      access_key: "{{ vault_dr_access_key }}"
      secret_key: "{{ vault_dr_secret_key }}"
      create: true
    passphrase: "{{ dr_passphrase }}"

- name: Make a repository in OpenStack Swift
  agnostic.recovery.repository_init:
    repository:
      type: swift
      container: recovery
      region: RegionOne
      auth:
        auth_url: https://keystone.example.org:5000/v3
        application_credential_id: "{{ vault_dr_credential_id }}"
        application_credential_secret: "{{ vault_dr_credential_secret }}"
      auth_type: v3applicationcredential
    passphrase: "{{ dr_passphrase }}"

- name: Make a repository that a key file opens
  agnostic.recovery.repository_init:
    repository:
      path: /srv/recovery
    key_file: /root/recovery.key
"""

RETURN = r"""
repository:
  description: The repository. In check mode, the one that would be made, with an empty id.
  returned: success
  type: dict
  contains:
    id:
      description: The repository's id.
      type: str
      sample: 0f7cba1d2a9c4f9db3d6ad52aac3f1d0
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
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.initialise import ensure_repository
from ..module_utils.job.options import KEY_SPEC, REPOSITORY_SPEC


def main():
    spec = dict(
        REPOSITORY_SPEC,
        unencrypted={"type": "bool", "default": False},
        chunk_size={"type": "int"},
        capture_credential_file={"type": "path"},
        **KEY_SPEC
    )
    module = AnsibleModule(
        argument_spec=spec,
        mutually_exclusive=[sorted(KEY_SPEC)],
        supports_check_mode=True,
    )
    try:
        changed, repository, warnings = ensure_repository(module.params, module.check_mode)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    for warning in warnings:
        module.warn(warning)
    module.exit_json(changed=changed, repository=repository)


if __name__ == "__main__":
    main()
