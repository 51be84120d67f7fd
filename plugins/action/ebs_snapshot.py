# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ebs_snapshot: an engine job on the host that has the disk."""

from ..module_utils.job.options import AWS_SPEC
from ..module_utils.target.ebs_direct import BLOCK, PUTS_PER_SECOND
from ..module_utils.target.ebs_snapshots import WORKERS
from ..plugin_utils.engine_job import EngineJobAction
from ..plugin_utils.progress_line import size


class ActionModule(EngineJobAction):

    kind = "snapshot"
    place = AWS_SPEC
    arguments = {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "name": {"type": "str", "required": True},
        "path": {"type": "path"},
        "parent": {"type": "str"},
        "description": {"type": "str"},
        "tags": {"type": "dict", "default": {}},
        "encrypted": {"type": "bool", "default": False},
        "kms_key": {"type": "str", "no_log": False},
        "workers": {"type": "int", "default": WORKERS},
        "puts_per_second": {"type": "float", "default": PUTS_PER_SECOND},
    }
    required_if = [("state", "present", ("path",))]

    def summary(self, result):
        options = self._task.args
        if not result["changed"]:
            return "{0} is {1} already".format(options["name"], options.get("state", "present"))
        if self._task.check_mode:
            return "would {0} {1}".format("remove" if result["removed"] else "make", options["name"])
        if result["removed"]:
            return "{0}: removed {1}".format(options["name"], ", ".join(result["removed"]))
        written = result["written"]
        return "{0}: {1}, sent {2} of {3} GiB".format(
            options["name"], result["snapshot"]["id"], size(written["written"] * BLOCK), result["snapshot"]["size"])
