# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""put_figures.py SPECIFICATION: one put of a disk in a process of its own; prints blocks, seconds and the peak of its memory as JSON."""

import json
import resource
import sys

from ansible_collections.agnostic.recovery.plugins.module_utils.image.progress import NoProgress
from ansible_collections.agnostic.recovery.plugins.module_utils.job.memory import keep_freed_memory
from ansible_collections.agnostic.recovery.plugins.module_utils.job.snapshot_task import run_snapshot


def main():
    keep_freed_memory()
    written = run_snapshot(json.loads(sys.argv[1]), NoProgress())["written"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024          # MiB; Linux counts KiB
    print(json.dumps({"blocks": written["written"], "seconds": written["seconds"], "peak_mib": peak}))


main()
