# Copyright: (c) 2026, the agnostic.recovery developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Journal, evidence and report of runs, kept in the repository: workers and controllers of a run are gone after it."""

import os

from typing import Dict, List

from ..errors import RecoveryError, RepositoryError
from ..repository.repository import Repository
from ..repository.store import RUNS
from . import records
from .journal import JOURNAL_FILE, parse_journal, plan_of

FILES = (JOURNAL_FILE, "evidence.json", "report.html")
_KIND = records.Kind(RUNS, b"ZIAR", b"zia/1 run", 64 << 20, "files of the run", False)


def read_files(run_dir: str) -> Dict[str, str]:
    """{name: content} of what there is of FILES in the folder of a run. Raises RecoveryError."""
    files = {}
    for name in FILES:
        try:
            with open(os.path.join(run_dir, name), encoding="utf-8") as file:
                files[name] = file.read()
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise RecoveryError(f"{os.path.join(run_dir, name)} cannot be read: {error}.") from error
    if not files:
        raise RecoveryError(f"{run_dir} is no folder of a run: it has none of {', '.join(FILES)}.")
    return files


def keep_run(repository: Repository, run_id: str, files: Dict[str, str], now: float, check: bool = False) -> bool:
    """See that the repository has these files of a run; returns whether it had others, or none. Raises RepositoryError, KeyAccessError."""
    found, _damaged = records.read_newest(repository, _KIND, run_id)
    if run_id in found and found[run_id].content == files:
        return False
    if not check:
        records.keep(repository, _KIND, run_id, files, now)
    return True


def read_run(repository: Repository, run_id: str) -> Dict[str, str]:
    """{name: content}, the names of FILES. Raises RepositoryError where there is no such run, KeyAccessError."""
    found, damaged = records.read_newest(repository, _KIND, run_id)
    if run_id not in found:
        known = list_runs(repository)
        raise RepositoryError(" ".join(damaged) or f"The repository at {repository.store.label} keeps no run {run_id}. "
                              + (f"It keeps {', '.join(known[-20:])}." if known else "It keeps none."))
    return {name: str(text) for name, text in found[run_id].content.items() if name in FILES}


def find_failover(repository: Repository, plan_id: str) -> str:
    """The newest failover of a plan, "": the repository keeps none. What cannot be read is passed over. Raises KeyAccessError."""
    for run_id in sorted((run for run in list_runs(repository) if run.startswith("failover-")), reverse=True):
        found, _damaged = records.read_newest(repository, _KIND, run_id)
        journal = found[run_id].content.get(JOURNAL_FILE, "") if run_id in found else ""
        if plan_of(parse_journal(str(journal).encode("utf-8").splitlines())) == plan_id:
            return run_id
    return ""


def list_runs(repository: Repository) -> List[str]:
    return records.subjects(repository, _KIND)
