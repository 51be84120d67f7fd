# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs have left, into a repository and out of it, as tasks ask for it."""

import os
import time

from ..runbook.kept_runs import find_failover, keep_run, list_runs, read_files, read_run
from .opening import opened


def keep(options, check):
    """See that the repository has the files of the run in `options["run_dir"]`. Returns (changed, ids of all runs that it keeps)."""
    run_dir = os.path.normpath(options["run_dir"])
    files = read_files(run_dir)
    with opened(options) as repository:
        changed = keep_run(repository, os.path.basename(run_dir), files, time.time(), check)
        return changed, list_runs(repository)


def fetch(options):
    """({file name: content} of the run `options["run_id"]`, ids of all runs that the repository keeps)."""
    with opened(options) as repository:
        return read_run(repository, options["run_id"]), list_runs(repository)


def fetch_failover(options):
    """(id, {file name: content}) of the newest failover of the plan `options["plan"]`, ("", {}) where the repository keeps none."""
    with opened(options) as repository:
        run_id = find_failover(repository, options["plan"])
        return run_id, read_run(repository, run_id) if run_id else {}
