# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hook of kind "command": what the operator says, before and after."""


class CommandHook:
    """Both commands are optional; each is a list of arguments or a text for /bin/sh."""

    def __init__(self, options, runner):
        self._options = options
        self._runner = runner

    def before(self):
        self._run("before")
        return {}

    def after(self):
        self._run("after")

    def _run(self, which):
        if self._options.get(which):
            self._runner.run(self._options[which], self._options["timeout"], self._options.get("user") or "")
