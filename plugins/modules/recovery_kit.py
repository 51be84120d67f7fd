#!/usr/bin/python
# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: recovery_kit
short_description: Write a page with all that is needed when everything else is gone
version_added: 1.1.0
author:
  - the agnostic.recovery developers (@agnostic-recovery)
description:
  - Writes C(recovery-kit.txt) and C(recovery-kit.html), the same page as plain text and for printing on one sheet of A4.
  - It tells where the repository is, how to recognise it, which keys open it, how to install this collection, and the inventory and
    commands that recover from nothing else.
  - Print it and keep it apart from the site. Write it anew when the place of the repository, its keys or its machines have changed.
  - The files are readable for their owner only. Remove them from the host when they are printed.
extends_documentation_fragment:
  - agnostic.recovery.attributes
  - agnostic.recovery.repository
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The files may hold a key.
options:
  output_dir:
    description: Folder on the host for the two files. It must exist.
    type: path
    required: true
  include_key:
    description:
      - Give the repository a fresh random key and print it on the page, as four lines that can be typed in, each with a check.
      - Whoever holds such a page can read every image. Without it, whoever opens the repository needs one of its other keys.
    type: bool
    default: false
  label:
    description:
      - Label of the key slot of the printed key.
      - A page that is written again keeps its key as long as C(recovery-kit.txt) is there. The key is nowhere else.
    type: str
    default: recovery kit
requirements:
  - cryptography (Python library)
seealso:
  - module: agnostic.recovery.repository_key
"""

EXAMPLES = r"""
- name: Make a page for the safe
  agnostic.recovery.recovery_kit:
    repository:
      path: /srv/recovery
    passphrase: "{{ dr_passphrase }}"
    output_dir: /root
    include_key: true

- name: Open the repository with a key that was typed in from such a page
  agnostic.recovery.repository_info:
    repository:
      path: /srv/recovery
    recovery_key: "{{ lookup('ansible.builtin.file', 'key.txt') }}"
"""

RETURN = r"""
files:
  description: The files, first the text.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import RecoveryError
from ..module_utils.job.options import KEY_SPEC, REPOSITORY_SPEC
from ..module_utils.job.recovery_kit import make_kit


def main():
    module = AnsibleModule(
        argument_spec=dict(
            REPOSITORY_SPEC,
            output_dir={"type": "path", "required": True},
            include_key={"type": "bool", "default": False, "no_log": False},
            label={"type": "str", "default": "recovery kit"},
            **KEY_SPEC
        ),
        mutually_exclusive=[sorted(KEY_SPEC)],
        required_one_of=[sorted(KEY_SPEC)],
        supports_check_mode=True,
    )
    try:
        changed, files = make_kit(module.params, module.check_mode)
    except RecoveryError as error:
        module.fail_json(msg=str(error), error_type=type(error).__name__)
    module.exit_json(changed=changed, files=files)


if __name__ == "__main__":
    main()
