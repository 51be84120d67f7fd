# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""image_import: an engine job on the host that has the file and reaches the repository."""

from ..module_utils.job.options import KEY_SPEC
from ..plugin_utils.engine_job import EngineJobAction
from ..plugin_utils.progress_line import size


class ActionModule(EngineJobAction):

    kind = "import"
    keys = KEY_SPEC
    arguments = {
        "path": {"type": "path", "required": True},
        "workers": {"type": "int", "default": 0},
        "read_limit": {"type": "bytes", "default": 0},
    }

    def summary(self, result):
        image = result["image"]["id"]
        if not result["changed"]:
            return "{0} is in the repository already".format(image)
        if self._task.check_mode:
            return "would import {0}".format(image)
        return "{0}: imported, {1} new".format(image, size(result["stored"]))
