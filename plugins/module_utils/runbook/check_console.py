# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check on the serial console of a QEMU guest: wait for a text, or log in and run a command."""

import os
import re
import time

from ..errors import TargetError
from ..target.qemu_command import CONSOLE_LOG
from ..target.qemu_console import last_lines, read_console
from .check_model import CheckFailed, excerpt, match_text
from .console import LOGIN_PROMPT, open_console

_LOGOUT_SECONDS = 20.0


def attempt_console(check, target, deadline):
    """Without `user` only waits for `pattern`; else logs in, runs `command` and matches its output."""
    if not target.run_dir:
        raise TargetError("A console check needs a QEMU guest of this host: the machine has no run directory.")
    log = os.path.join(target.run_dir, CONSOLE_LOG)
    # The log holds what was written before we look. Nothing is typed before the prompt has been seen: boot loaders listen too.
    pattern = check["pattern"] or LOGIN_PROMPT
    match = re.search(pattern, read_console(log), re.MULTILINE)
    if not match:
        raise CheckFailed(f"the console does not show {pattern!r}; its last lines: {last_lines(log) or 'none'}")
    if not check["user"]:
        return f"the console shows {excerpt(match.group(0))!r}"
    with open_console(target.run_dir, deadline) as dialog:
        dialog.login(check["user"], check["password"], pattern, deadline)
        found = f"login of {check['user']!r}"
        try:
            return f"{found}, {_run_command(check, dialog, deadline)}" if check["command"] else found
        finally:
            dialog.logout(pattern, time.monotonic() + _LOGOUT_SECONDS)


def _run_command(check, dialog, deadline):
    status, output = dialog.run(check["command"], deadline)
    if status:
        raise CheckFailed(f"the command ended with status {status}: {excerpt(output)}")
    return match_text("the output", output, check["contains"], check["regex"]) or "the command ended with status 0"
