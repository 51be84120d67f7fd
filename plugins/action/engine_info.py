# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""engine_info: what the engine has to work with on a host."""

from ..plugin_utils.engine_action import HOST_SPEC, EngineAction, for_controller
from ..plugin_utils.engine_host import EngineError, NoAnswer

LIBRARIES = ["cryptography", "zstd", "boto3", "openstack"]
ARGUMENTS = {"needs": {"type": "list", "elements": "str", "choices": LIBRARIES, "default": []}}


class ActionModule(EngineAction):

    _supports_check_mode = True
    _supports_async = False
    _supports_diff = False

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        options = self.validate_argument_spec(for_controller(dict(HOST_SPEC, **ARGUMENTS)))[1]
        try:
            host = self.engine_host(options, task_vars or {})
            found = host.ask(["about"])
        except EngineError as error:
            # A host without a Python is an answer too: it can be prepared.
            if error.kind != "NoPython":
                result.update(failed=True, msg=error.message, error_type=error.kind)
                return result
            result.update(changed=False, python="", missing=["python"] + options["needs"], hint=error.message)
            return result
        except NoAnswer as error:
            result.update(failed=True, msg=error.message)
            return result
        missing = [name for name in options["needs"] if not found["libraries"][name]]
        result.update(changed=False, python=host.python, version=found["python"], platforms=found["platforms"],
                      libraries=found["libraries"], distribution=found["distribution"], missing=missing)
        return result
