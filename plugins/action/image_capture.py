# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""image_capture: an engine job on the source, or on the worker that reaches its disks."""

from ..module_utils.job.options import CAPTURE_KEY_SPEC, DISKS_SPEC, HOOKS_SPEC
from ..plugin_utils.engine_job import EngineJobAction
from ..plugin_utils.progress_line import size


class ActionModule(EngineJobAction):

    kind = "capture"
    keys = CAPTURE_KEY_SPEC
    arguments = {
        "machine": {"type": "str", "required": True},
        "disks": dict(DISKS_SPEC, required=False),
        "exclude": {"type": "list", "elements": "str", "default": []},
        "consistency": {"type": "str", "choices": ["auto", "offline", "snapshot", "freeze", "frozen", "crash"], "default": "auto"},
        "snapshot_reserve": {"type": "int", "default": 20},
        "freeze_limit": {"type": "float", "default": 10},
        "hooks": HOOKS_SPEC,
        "facts": {"type": "dict"},
        "workers": {"type": "int", "default": 0},
        "read_limit": {"type": "bytes", "default": 0},
        "bandwidth_limit": {"type": "bytes", "default": 0},
    }

    def summary(self, result):
        used = sum(disk["used"] for disk in result["disks"])
        if result["image"] is None:
            return "would capture {0}".format(size(used))
        return "{0}: captured {1}, {2} new".format(result["image"]["id"], size(used), size(result["image"]["stored_new"]))
