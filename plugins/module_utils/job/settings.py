# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How machines are recovered, in a repository, as tasks ask for it."""

import time

from ..runbook.settings import forget_settings, keep_settings, only_kept, read_settings
from .opening import opened


def ensure_settings(options, check):
    """See that the settings of `options["machines"]` are in the repository, or with state "absent" gone.

    Returns ({machine that changes: (variables before or None, variables after or None)}, messages on settings that cannot be used).
    With `check` nothing is written. Raises RepositoryError, KeyAccessError.
    """
    changes = {}
    with opened(options) as repository:
        found, messages = read_settings(repository)
        for each in options["machines"]:
            name = each["name"]
            before = found.get(name)
            after = None if options["state"] == "absent" else only_kept(each["variables"])
            if after == before:
                continue
            changes[name] = (before, after)
            if check:
                continue
            if after is None:
                forget_settings(repository, name)
            else:
                keep_settings(repository, name, after, time.time())
    return changes, messages
