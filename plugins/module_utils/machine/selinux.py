# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a root uses SELinux, and the policy by which it labels files: /etc/selinux/config and what it names (selinux_config(5))."""

import re

from typing import NamedTuple, Optional, Tuple

from ..errors import MachineError
from .filecontexts import FileContexts, parse_rules, parse_substitutions

CONFIG = "/etc/selinux/config"
DEFAULT_TYPE = "targeted"                        # libselinux, selinux_config.c, SELINUXDEFAULT

_MODE = re.compile(r"^SELINUX=[^\S\n]*(enforcing|permissive|disabled)", re.MULTILINE | re.IGNORECASE)
_TYPE = re.compile(r"^[^\S\n]*SELINUXTYPE=[^\S\n]*(\S.*)$", re.MULTILINE | re.IGNORECASE)
_NAME = re.compile(r"[\w.-]+")


class Policy(NamedTuple):
    name: str                                    # "targeted"
    contexts: Optional[FileContexts]             # None: they cannot be read
    problems: Tuple[str, ...]                    # sentences: why, or which parts of them are not understood


def read_policy(tree) -> Optional[Policy]:
    """None where the machine does not use SELinux."""
    if not tree.isfile(CONFIG):
        return None
    try:
        text = tree.read_text(CONFIG, limit=65536)
    except MachineError as error:
        return Policy("", None, (str(error),))
    # The first mode counts, and the last type. A mode that is none disables nothing.
    mode = _MODE.search(text)
    if mode is not None and mode.group(1).lower() == "disabled":
        return None
    types = _TYPE.findall(text)
    name = types[-1].strip() if types else DEFAULT_TYPE
    if not _NAME.fullmatch(name):
        return Policy(name, None, (f"SELINUXTYPE in {CONFIG} is no name of a policy.",))
    try:
        return _read(tree, name)
    except MachineError as error:
        return Policy(name, None, (str(error),))


def _read(tree, name):
    base = f"/etc/selinux/{name}/contexts/files/file_contexts"
    rules, problems = [], []
    for suffix in ("", ".homedirs", ".local"):
        path = base + suffix
        if suffix and not tree.exists(path):
            continue
        found, wrong = parse_rules(tree.read_bytes(path), path)
        rules.extend(found)
        if wrong:
            problems.append(f"{wrong[0]} is no rule; {len(wrong)} of this file are left out.")
    exchanged = [parse_substitutions(tree.read_bytes(path)) if tree.exists(path) else () for path in (base + ".subs", base + ".subs_dist")]
    return Policy(name, FileContexts(rules, exchanged), tuple(problems))
