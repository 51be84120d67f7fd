# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugins that use the engine on a host: how they reach it."""

import os

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from .engine_host import EngineHost
from .pack import build_engine, save_engine
from .wheels import bundle_wheels

# How the host is used; documented in the doc fragment engine_host.
HOST_SPEC = {
    "job_dir": {"type": "path"},
    "python": {"type": "path"},
    "wheels": {"type": "path"},
}


def for_controller(spec):
    """An argument specification whose paths stay as they are: they are paths of the host, "~" is a home there."""
    changed = {}
    for name, option in spec.items():
        option = dict(option)
        if option.get("type") == "path":
            option["type"] = "str"
        if "options" in option:
            option["options"] = for_controller(option["options"])
        changed[name] = option
    return changed


class EngineAction(ActionBase):
    """A task that is done by the engine on the host."""

    def engine_host(self, options, task_vars):
        """The host with the engine on it. `options` has the values of HOST_SPEC. Raises NoAnswer, EngineError."""
        host = EngineHost(self._execute, self._carry)
        wheels = bundle_wheels(self._loader.path_dwim(options["wheels"])) if options["wheels"] else None
        host.prepare(build_engine(), options["job_dir"], options["python"], self._interpreter(task_vars), wheels)
        return host

    def _interpreter(self, task_vars):
        """ansible_python_interpreter of the host if it is a path, else ""."""
        if self._task.delegate_to:
            task_vars = task_vars.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        value = self._templar.template(task_vars.get("ansible_python_interpreter") or "")
        return str(value) if str(value).startswith("/") else ""

    def _execute(self, command, data=None):
        if data is None:
            return self._low_level_execute_command(command)
        if not self._connection.has_pipelining:
            raise AnsibleActionFail(
                "The connection plugin '{0}' cannot pass standard input to a command, and a key must go no other way. Use the ssh "
                "connection.".format(self._connection.transport))
        # With a password for become and without pipelining, standard input would be a pseudo terminal instead of our data.
        before = self._connection.get_option("pipelining") if self._has_option("pipelining") else None
        if before is not None:
            self._connection.set_option("pipelining", True)
        try:
            return self._low_level_execute_command(command, in_data=data)
        finally:
            if before is not None:
                self._connection.set_option("pipelining", before)

    def _has_option(self, name):
        try:
            return self._connection.get_option(name) is not None
        except (KeyError, AttributeError):
            return False

    def _carry(self, data, name):
        folder = self._make_tmp_path()
        path = self._connection._shell.join_path(folder, name)
        self._transfer_file(save_engine(data, os.fspath(C.DEFAULT_LOCAL_TMP)), path)
        self._fixup_perms2([folder, path], execute=False)
        return path
