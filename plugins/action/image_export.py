# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""image_export: an engine job on any host that reaches the repository."""

from ..module_utils.job.options import KEY_SPEC
from ..plugin_utils.engine_job import EngineJobAction
from ..plugin_utils.progress_line import size


class ActionModule(EngineJobAction):

    kind = "export"
    keys = KEY_SPEC
    arguments = {
        "machine": {"type": "str", "required": True},
        "image": {"type": "str", "default": "latest"},
        "path": {"type": "path", "required": True},
        "force": {"type": "bool", "default": False},
        "workers": {"type": "int", "default": 0},
        "read_limit": {"type": "bytes", "default": 0},
    }

    def summary(self, result):
        if not result["changed"]:
            return "{0} is {1} already".format(result["path"], result["image"]["id"])
        if self._task.check_mode:
            return "would export {0} to {1}".format(result["image"]["id"], result["path"])
        return "{0}: exported to {1}, {2}".format(result["image"]["id"], result["path"], size(result["size"]))
