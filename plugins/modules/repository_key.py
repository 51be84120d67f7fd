#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: repository_key
short_description: Give, exchange and take away keys of a repository
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - An encrypted repository opens with any of several keys. Each has a key slot, which is known by its label. Slots are added, replaced and
    removed without touching data.
  - A slot is replaced by making the new one, opening it, and only then taking the old one away. The last slot is never removed. A task
    that is killed leaves keys that work; run it again.
  - A key that is taken away opens the repository no more. Who held it may have kept a copy of the secrets behind it; begin a new epoch with
    M(agnostic.recovery.repository_epoch) so that later captures are safe from them.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.repository
attributes:
  check_mode:
    support: full
    details: Opens the repository, and tells what would change.
  diff_mode:
    support: none
options:
  label:
    description:
      - The slot's label. The first slot of a repository is labelled V(default).
      - Anyone who can read the repository's place can read it.
    type: str
    required: true
  state:
    description:
      - V(present) sees that O(new_key) has a slot of this label, and fails if there is one for another key.
      - V(replaced) sees that O(new_key) has the one slot of this label.
      - V(absent) sees that there is no slot of this label.
    type: str
    choices: [present, replaced, absent]
    default: present
  new_key:
    description:
      - The key that the slot is for; exactly one. Needed unless O(state=absent).
      - It may be the one that opens the repository.
    type: dict
    suboptions:
      passphrase:
        description: A passphrase.
        type: str
      passphrase_command:
        description: A program with its arguments that prints a passphrase. Only the passphrase is used for the slot, not the command.
        type: list
        elements: str
      key_file:
        description: A key file of at least 32 random bytes; a path on the host.
        type: path
      recovery_key:
        description: A key as a recovery kit prints it.
        type: str
      key_command:
        description:
          - A program with its arguments that unwraps what O(new_key.wrap_command) has wrapped.
          - It is run at once, to show that it does. It is not stored, so that nobody who can change the repository can have commands run.
        type: list
        elements: str
      wrap_command:
        description:
          - A program with its arguments that wraps a secret. On standard input it gets 32 random bytes as one Base64 text without a line's
            end; all that it prints, up to 16 KiB, is stored in the slot.
        type: list
        elements: str
  kdf:
    description:
      - How a key is derived from a passphrase. V(pbkdf2-hmac-sha512) is for hosts in FIPS mode.
      - By default V(scrypt), where the host allows it.
    type: str
    choices: [scrypt, pbkdf2-hmac-sha512]
requirements:
  - cryptography (Python library)
seealso:
  - module: agnostic.recovery.repository_epoch
  - module: agnostic.recovery.recovery_kit
"""

EXAMPLES = r"""
- name: Change the passphrase
  agnostic.recovery.repository_key:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    label: default
    state: replaced
    new_key:
      passphrase: "{{ dr_new_passphrase }}"

- name: Let the workers open it through Vault's transit engine
  agnostic.recovery.repository_key:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    label: vault
    new_key:
      wrap_command: [vault, write, -field=ciphertext, transit/encrypt/recovery, plaintext=-]
      key_command: [vault, write, -field=plaintext, transit/decrypt/recovery, ciphertext=-]

- name: Take a key away
  agnostic.recovery.repository_key:
    repository:
      path: /srv/recovery
    key_command: [vault, write, -field=plaintext, transit/decrypt/recovery, ciphertext=-]
    label: colleague who left
    state: absent
"""

RETURN = r"""
slots:
  description: The key slots after the task; in check mode, those that would be.
  returned: success
  type: list
  elements: dict
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
    complete:
      description: False for a slot that an interrupted task left. The next task of its label takes it away.
      type: bool
    problem:
      description: Why it cannot be read, or empty.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.keyslots import ensure_slot
from ..module_utils.job.options import KEY_SPEC, REPOSITORY_SPEC


def main():
    new_key = {
        "type": "dict", "no_log": False, "options": dict(KEY_SPEC, wrap_command={"type": "list", "elements": "str"}),
        "mutually_exclusive": [sorted(KEY_SPEC)], "required_one_of": [sorted(KEY_SPEC)],
        "required_together": [["key_command", "wrap_command"]],
    }
    spec = dict(
        REPOSITORY_SPEC,
        label={"type": "str", "required": True},
        state={"type": "str", "choices": ["present", "replaced", "absent"], "default": "present"},
        new_key=new_key,
        kdf={"type": "str", "choices": ["scrypt", "pbkdf2-hmac-sha512"]},
        **KEY_SPEC
    )
    module = AnsibleModule(
        argument_spec=spec,
        mutually_exclusive=[sorted(KEY_SPEC)],
        required_one_of=[sorted(KEY_SPEC)],
        required_if=[("state", "present", ["new_key"]), ("state", "replaced", ["new_key"])],
        supports_check_mode=True,
    )
    try:
        changed, _before, slots = ensure_slot(module.params, module.check_mode)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    module.exit_json(changed=changed, slots=slots)


if __name__ == "__main__":
    main()
