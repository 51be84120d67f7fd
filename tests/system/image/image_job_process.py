# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the job whose specification comes as JSON on standard input, in this process. Prints "started", and then the result as JSON."""

import json
import sys

from ansible_collections.agnostic.recovery.plugins.module_utils.errors import RecoveryError
from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job import tasks
from ansible_collections.agnostic.recovery.plugins.module_utils.job.memory import keep_freed_memory

spec = json.load(sys.stdin)
keep_freed_memory()
print("started", flush=True)
try:
    print(json.dumps(tasks.run(spec, NoProgress())))
except RecoveryError as error:
    sys.exit(str(error))
