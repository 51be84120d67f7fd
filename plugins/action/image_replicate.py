# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""image_replicate: an engine job on any host that reaches both places."""

from ..module_utils.job.options import CAPTURE_KEY_SPEC, REPOSITORY_SPEC
from ..plugin_utils.engine_job import EngineJobAction
from ..plugin_utils.progress_line import size


class ActionModule(EngineJobAction):

    kind = "replicate"
    keys = CAPTURE_KEY_SPEC
    arguments = {
        "target": REPOSITORY_SPEC["repository"],
        "machine": {"type": "str"},
        "images": {"type": "list", "elements": "str"},
        "within_days": {"type": "float", "default": 0.0},
        "limit": {"type": "bytes", "default": 0},
        "workers": {"type": "int", "default": 0},
    }

    def summary(self, result):
        replicated = result["replicated"]
        return "{0} images replicated, {1} in {2} objects".format(
            len(replicated["images"]), size(replicated["stored"]), replicated["stored_objects"])
