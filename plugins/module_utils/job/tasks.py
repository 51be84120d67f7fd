# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which job does what, a file each.

Every task takes the job's specification (plain data; its keys are the options of the module of the job) and a progress object, and
returns plain data. With `check` in the specification nothing is written.
"""

from .capture_task import run_capture
from .export_task import run_export
from .import_task import run_import
from .prune_task import run_prune
from .replicate_task import run_replicate
from .restore_task import run_restore
from .snapshot_task import run_snapshot
from .verify_task import run_verify

TASKS = {"capture": run_capture, "export": run_export, "import": run_import, "prune": run_prune, "replicate": run_replicate,
         "restore": run_restore, "snapshot": run_snapshot, "verify": run_verify}


def run(spec, progress):
    """Do the job that the specification asks for."""
    return TASKS[spec["kind"]](spec, progress)
