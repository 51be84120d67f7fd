# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options by which tasks name a repository and its key, as argument specifications of Ansible (plain data).

Their documentation is the doc fragment `repository`.
"""

_SWIFT_AUTH_SPEC = dict(
    {name: {"type": "str"} for name in (
        "auth_url", "username", "user_id", "user_domain_name", "user_domain_id", "project_name", "project_id", "project_domain_name",
        "project_domain_id", "application_credential_id", "application_credential_name")},
    password={"type": "str", "no_log": True},
    application_credential_secret={"type": "str", "no_log": True},
)
REPOSITORY_SPEC = {
    "repository": {
        "type": "dict", "required": True,
        "required_if": [("type", "directory", ("path",)), ("type", "s3", ("bucket",)), ("type", "swift", ("container",))],
        "required_together": [("access_key", "secret_key")],
        "options": {
            "type": {"type": "str", "choices": ["directory", "s3", "swift"], "default": "directory"},
            "path": {"type": "path"},
            # S3
            "bucket": {"type": "str"},
            "endpoint_url": {"type": "str"},
            "addressing_style": {"type": "str", "choices": ["auto", "path", "virtual"], "default": "auto"},
            "access_key": {"type": "str", "no_log": False},
            "secret_key": {"type": "str", "no_log": True},
            "session_token": {"type": "str", "no_log": True},
            # Swift
            "container": {"type": "str"},
            "cloud": {"type": "str"},
            "auth": {"type": "dict", "options": _SWIFT_AUTH_SPEC},
            "auth_type": {"type": "str"},
            "interface": {"type": "str", "choices": ["public", "internal", "admin"], "default": "public"},
            # both
            "prefix": {"type": "str"},
            "region": {"type": "str"},
            "ca_bundle": {"type": "path"},
            "create": {"type": "bool", "default": False},
            "connect_timeout": {"type": "float", "default": 10.0},
            "read_timeout": {"type": "float", "default": 60.0},
            "retry_seconds": {"type": "float", "default": 300.0},
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

# How AWS is reached; documented in the doc fragment aws, read by target/aws.py.
AWS_SPEC = {
    "region": {"type": "str"},
    "endpoint_url": {"type": "str"},
    "access_key": {"type": "str", "no_log": False},
    "secret_key": {"type": "str", "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "ca_bundle": {"type": "path"},
    "connect_timeout": {"type": "float", "default": 10.0},
    "read_timeout": {"type": "float", "default": 60.0},
    "retry_seconds": {"type": "float", "default": 300.0},
}

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
