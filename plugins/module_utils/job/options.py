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
    "key_file": {"type": "path", "no_log": False},
}
CAPTURE_KEY_SPEC = dict(KEY_SPEC, capture_credential={"type": "str", "no_log": True})

# Documented in the module image_capture; read by source/hooks.py.
HOOKS_SPEC = {
    "type": "list", "elements": "dict", "default": [],
    "options": {
        "name": {"type": "str", "required": True},
        "kind": {"type": "str", "choices": ["command", "postgresql", "mysql"], "default": "command"},
        "before": {"type": "raw"},
        "after": {"type": "raw"},
        "timeout": {"type": "float", "default": 60.0},
        "user": {"type": "str"},
        "required": {"type": "bool", "default": False},
        "client": {"type": "list", "elements": "str"},
        "restore_point": {"type": "str"},
    },
}

# How urgently a job runs; not given: as whoever started it.
PRIORITY_SPEC = {
    "nice": {"type": "int"},
    "ionice": {"type": "str", "choices": ["best-effort", "idle"]},
}

DISKS_SPEC = {
    "type": "list", "elements": "dict", "required": True,
    "options": {"name": {"type": "str", "required": True}, "path": {"type": "path", "required": True}},
}
