# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options by which tasks name a repository and its key, as argument specifications of Ansible (plain data).

Their documentation is the doc fragment `repository`.
"""

REPOSITORY_SPEC = {
    "repository": {
        "type": "dict", "required": True,
        "options": {
            "type": {"type": "str", "choices": ["directory"], "default": "directory"},
            "path": {"type": "path", "required": True},
        },
    },
}

# At most one of them is given; none for an unencrypted repository.
KEY_SPEC = {
    "passphrase": {"type": "str", "no_log": True},
    "passphrase_command": {"type": "list", "elements": "str", "no_log": False},
    "key_file": {"type": "path", "no_log": False},
    "recovery_key": {"type": "str", "no_log": True},
    "key_command": {"type": "list", "elements": "str", "no_log": False},
}
CAPTURE_KEY_SPEC = dict(KEY_SPEC, capture_credential={"type": "str", "no_log": True})

DISKS_SPEC = {
    "type": "list", "elements": "dict", "required": True,
    "options": {"name": {"type": "str", "required": True}, "path": {"type": "path", "required": True}},
}
