# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""image_restore: an engine job on the worker."""

from ..module_utils.job.options import DISKS_SPEC, KEY_SPEC
from ..plugin_utils.engine_job import EngineJobAction
from ..plugin_utils.progress_line import size


class ActionModule(EngineJobAction):

    kind = "restore"
    keys = KEY_SPEC
    arguments = {
        "machine": {"type": "str", "required": True},
        "image": {"type": "str", "default": "latest"},
        "disks": DISKS_SPEC,
        "force": {"type": "bool", "default": False},
        "workers": {"type": "int", "default": 0},
        "write_limit": {"type": "bytes", "default": 0},
    }

    def summary(self, result):
        names = ", ".join(disk["name"] for disk in result["disks"])
        if self._task.check_mode:
            return "would restore {0} of {1}".format(names, result["image"]["id"])
        return "{0}: restored {1}, wrote {2}".format(result["image"]["id"], names, size(result["bytes"]))
