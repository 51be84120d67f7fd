# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hooks: what applications do around the point of consistency of a capture.

    hooks = Hooks(options["hooks"], cancelled=progress.cancelled)
    try:
        hooks.before_freeze()
        ...                     # freeze or make the snapshot
    finally:
        hooks.after_thaw()      # thawed, or the snapshot exists

A process of its own (applications/keeper.py) runs them, and ends them when this one dies.
"""

# The library knows no AnsibleModule, whose run_command the rule asks for.
# pylint: disable=ansible-bad-function

import json
import os
import select
import subprocess
import sys
from typing import Callable, List, Sequence

from ..errors import SourceError
from ..image.progress import CancelledError
from .applications.keeper import KINDS
from .consistency import Applications

HOLD_SECONDS = 300.0           # the longest time that they are held: from the end of `before_freeze` to `after_thaw`
_LOOK_SECONDS = 0.2
_DEFAULTS = {"kind": "command", "before": None, "after": None, "timeout": 60.0, "user": "", "required": False, "client": None,
             "restore_point": ""}
_KEEPER = "import sys; sys.path.insert(0, sys.argv[1]); import importlib; importlib.import_module(sys.argv[2]).main()"
_DEATH = "the process that keeps the hooks is gone"


class Hooks(Applications):
    """The hooks of one capture. With none of them everything here does nothing.

    `hooks`: dictionaries of name, and of the values in _DEFAULTS where they differ. `before` and `after` are lists of arguments or
    texts for /bin/sh; `timeout` is in seconds and for each of the two. Raises SourceError for what is no hook.
    """

    def __init__(self, hooks: Sequence[dict], cancelled: Callable[[], bool] = lambda: False, hold: float = HOLD_SECONDS):
        self._hooks = [_checked(hook) for hook in hooks]
        self._cancelled = cancelled
        self._hold = hold
        self._process = None
        self._reports = []                 # type: List[dict]
        self._ended = False

    def before_freeze(self) -> None:
        """Run what comes before, in order. Failures are warnings, except of a hook that is required.

        Raises SourceError: a required hook failed; CancelledError. In both cases what had begun has been ended.
        """
        if not self._hooks:
            return
        self._process = _start_keeper(self._hooks, True, self._hold)
        reports = self._answer(self._cancelled)
        self._reports = reports if reports is not None else [_dead_report(hook) for hook in self._hooks]
        failed = [report for report, hook in zip(self._reports, self._hooks) if hook["required"] and report["errors"]]
        if failed or self._cancelled():
            self.after_thaw()
            if self._cancelled():
                raise CancelledError("Cancelled on request.")
            raise SourceError(f"{_told(failed[0])}. The hook is required, so nothing was captured.")

    def after_thaw(self) -> None:
        """Run what comes after, for all that had begun, in reverse order. Raises nothing: see `warnings` and `succeeded`."""
        if self._process is None:
            return
        reports = self._end()
        if reports is None:                # it was killed: its sessions ended with it, and another one runs the commands
            begun = [pair for pair in zip(self._hooks, self._reports) if pair[1]["begun"]]
            self._process = _start_keeper([hook for hook, _report in begun], False, self._hold)
            for (_hook, report), ended in zip(begun, self._end() or ()):
                report["errors"].extend(ended["errors"])
            for report in self._reports:
                report["errors"].append(_DEATH)
        else:
            self._reports = reports
        self._process = None
        self._ended = True

    def succeeded(self) -> bool:
        """There are hooks, and all of them went well, before and after."""
        return self._ended and all(report["begun"] and not report["errors"] for report in self._reports)

    def evidence(self) -> List[dict]:
        """For the manifest: nothing that a command printed, which nobody can know to be free of secrets."""
        return [{"name": report["name"], "kind": report["kind"], "succeeded": report["begun"] and not report["errors"],
                 "seconds": report["seconds"], "detail": report["detail"]} for report in self._reports]

    def warnings(self) -> List[str]:
        """For the operator: what went wrong, with the end of what the commands printed."""
        return [_told(report) + "." for report in self._reports if report["errors"]]

    def _answer(self, cancelled: Callable[[], bool]):
        """The next list of reports; None: the keeper is gone. When the job is cancelled, its input is closed, so that it ends."""
        stream = self._process.stdout
        while not select.select([stream], [], [], _LOOK_SECONDS)[0]:
            if cancelled():
                self._process.stdin.close()
                break
        line = stream.readline()
        return json.loads(line.decode("utf-8")) if line.endswith(b"\n") else None

    def _end(self):
        """Ask the keeper for the end and await it; its last reports, or None when it was killed."""
        try:
            if not self._process.stdin.closed:
                self._process.stdin.write(b"end\n")
                self._process.stdin.close()
        except BrokenPipeError:
            pass
        reports = self._answer(lambda: False)
        self._process.stdout.close()
        self._process.wait()
        return reports


def _checked(hook: dict) -> dict:
    hook = dict(_DEFAULTS, **{name: value for name, value in hook.items() if value is not None})
    for which in ("before", "after", "client"):
        command = hook[which]
        is_list = isinstance(command, (list, tuple)) and command and all(isinstance(word, str) for word in command)
        if command is not None and not is_list and (which == "client" or not isinstance(command, str) or not command.strip()):
            raise SourceError(f"Hook {hook['name']}: {which} must be a list of arguments" + (
                "." if which == "client" else ", or a text for the shell."))
    if hook["kind"] not in KINDS:
        raise SourceError(f"Hook {hook['name']}: {hook['kind']!r} is no kind; there are: {', '.join(sorted(KINDS))}.")
    if hook["timeout"] <= 0:
        raise SourceError(f"Hook {hook['name']}: timeout must be more than 0.")
    return hook


def _start_keeper(hooks: Sequence[dict], begin: bool, hold: float) -> subprocess.Popen:
    """Another Python with the same library: a fork would inherit keys, locks and open files of the capture."""
    package = __package__
    place = os.path.abspath(__file__)                # may lie within a zip file
    for _name in range(package.count(".") + 2):
        place = os.path.dirname(place)
    process = subprocess.Popen([sys.executable, "-I", "-c", _KEEPER, place, package + ".applications.keeper"], bufsize=0,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    process.stdin.write(json.dumps({"hooks": list(hooks), "begin": begin, "hold": hold}).encode("utf-8") + b"\n")
    return process


def _dead_report(hook: dict) -> dict:
    return {"name": hook["name"], "kind": hook["kind"], "begun": True, "errors": [_DEATH], "detail": {}, "seconds": 0.0}


def _told(report: dict) -> str:
    return f"Hook {report['name']}: {'; '.join(report['errors'])}".rstrip(".")
