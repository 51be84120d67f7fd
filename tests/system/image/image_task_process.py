# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Does the work of one engine job in a process of its own, to be killed.

Usage: image_task_process.py SPECIFICATION, in JSON. Prints "started" when it begins, and "done" at the end.
"""

import json
import sys

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks

if __name__ == "__main__":
    specification = json.loads(sys.argv[1])
    print("started", flush=True)
    try:
        tasks.run(specification, NoProgress())
    except RecoveryError as error:
        sys.exit(str(error))
    print("done", flush=True)
