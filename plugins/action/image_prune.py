# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""image_prune: an engine job on any host that reaches the repository."""

from ..module_utils.job.options import CAPTURE_KEY_SPEC
from ..plugin_utils.engine_job import EngineJobAction
from ..plugin_utils.progress_line import size


class ActionModule(EngineJobAction):

    kind = "prune"
    keys = CAPTURE_KEY_SPEC
    arguments = {
        "machine": {"type": "str"},
        "images": {"type": "list", "elements": "str"},
        "keep": {"type": "dict", "options": dict(
            {name: {"type": "int"} for name in ("last", "hourly", "daily", "weekly", "monthly", "yearly")}, within_days={"type": "float"})},
        "protect": {"type": "list", "elements": "str"},
        "force": {"type": "bool", "default": False},
        "silent_days": {"type": "float", "default": 1.0},
        "workers": {"type": "int", "default": 0},
    }

    def summary(self, result):
        pruned = result["pruned"]
        text = "{0} images removed, {1} objects ({2}) deleted".format(
            len(pruned["removed_images"]), pruned["deleted"], size(pruned["deleted_bytes"]))
        if pruned["announced"]:
            text += ", {0} ({1}) to be deleted by the next prune".format(pruned["announced"], size(pruned["announced_bytes"]))
        return text
