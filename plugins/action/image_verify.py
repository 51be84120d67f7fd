# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""image_verify: an engine job on any host that reaches the repository."""

from ..module_utils.job.options import KEY_SPEC
from ..plugin_utils.engine_job import EngineJobAction
from ..plugin_utils.progress_line import size


class ActionModule(EngineJobAction):

    kind = "verify"
    keys = KEY_SPEC
    arguments = {
        "machine": {"type": "str"},
        "images": {"type": "list", "elements": "str"},
        "level": {"type": "str", "choices": ["structure", "sampled", "full"], "default": "structure"},
        "parts": {"type": "int", "default": 14},
        "part": {"type": "int"},
    }

    def summary(self, result):
        verified = result["verified"]
        if verified["problem_count"]:
            return "{0} of {1} images are damaged".format(len(verified["damaged_images"]), len(verified["images"]))
        return "no damage in {0} images, {1} in {2} chunks".format(len(verified["images"]), size(verified["bytes"]), verified["chunks"])
