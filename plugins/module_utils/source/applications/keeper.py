# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process that keeps the hooks of a capture: it runs what comes before, holds sessions open, and runs what comes after.

It is a process of its own, so that an engine that is killed leaves no application stopped or locked. Its standard input is the
engine's end of a pipe: one line of JSON, {"hooks": [...], "begin": bool, "hold": seconds}, starts it; then any further line asks for the end,
and so does the engine's death, which closes the pipe. Each time it answers with one line of JSON, a list of reports, one a hook.
"""

import json
import os
import select
import signal
import sys
import time

from ...errors import RecoveryError
from ...priority import set_priority
from .command import CommandHook
from .mysql import MysqlHook
from .postgresql import PostgresqlHook
from .process import HookError, Runner

KINDS = {"command": CommandHook, "postgresql": PostgresqlHook, "mysql": MysqlHook}
_INPUT = 0


class _Kept:
    """A hook and the report on it."""

    def __init__(self, options, runner):
        self.hook = KINDS[options["kind"]](options, runner)
        self.required = options["required"]
        self.report = {"name": options["name"], "kind": options["kind"], "begun": False, "errors": [], "detail": {}, "seconds": 0.0}

    def do(self, action):
        """True if it went well."""
        started = time.monotonic()
        try:
            detail = action()
            if detail:
                self.report["detail"] = detail
            return True
        except HookError as error:
            self.report["errors"].append(str(error))
            return False
        finally:
            self.report["seconds"] = round(self.report["seconds"] + time.monotonic() - started, 3)


def main():
    """The life of the process."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        # A handler, and not SIG_IGN, which the commands would inherit.
        signal.signal(number, lambda number, frame: None)
    try:
        set_priority(0, "none")  # applications must not wait longer because the capture is nice
    except RecoveryError:
        pass                     # only root may become more urgent
    asked = json.loads(_read_line(None))
    runner = Runner(lost=_INPUT)
    hooks = [_Kept(options, runner) for options in asked["hooks"]]
    if asked["begin"]:
        _begin(hooks, runner)
        _answer(hooks)
        if _read_line(asked["hold"]) is None:
            for kept in hooks:
                kept.report["errors"].append(f"it was held longer than {asked['hold']:g} s and was ended")
    else:
        for kept in hooks:
            kept.report["begun"] = True
    runner.lost = None           # from here on nothing stops us
    for kept in reversed(hooks):
        if kept.report["begun"]:
            kept.do(kept.hook.after)
    _answer(hooks)


def _begin(hooks, runner):
    """Run what comes before, in order; stops at the first failure of a hook that is required, and when nobody waits for them."""
    for kept in hooks:
        kept.report["begun"] = True
        if not kept.do(kept.hook.before) and kept.required or runner.is_lost():
            return


def _read_line(seconds):
    """The next line, "" at the end of the input, None when nothing came for `seconds` (None: waits for ever)."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([_INPUT], [], [], seconds)[0]:
            return None
        data = os.read(_INPUT, 1)        # no more: another line may be waiting
        if not data:
            return ""
        line += data
    return line.decode("utf-8")


def _answer(hooks):
    try:
        sys.stdout.write(json.dumps([kept.report for kept in hooks]) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)       # nobody listens any more; what is left to do is done all the same
